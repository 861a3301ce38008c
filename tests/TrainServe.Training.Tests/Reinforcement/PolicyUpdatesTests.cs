using TorchSharp;
using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.Model;
using TrainServe.TestSupport;
using TrainServe.Training.Alignment;
using TrainServe.Training.Distributed;
using TrainServe.Training.Recipes;
using TrainServe.Training.Reinforcement;

namespace TrainServe.Training.Tests.Reinforcement;

[Collection(TorchFixture.Generator)]
public sealed class PolicyUpdatesTests
{
    [Fact]
    public void An_epoch_takes_every_group_once_and_the_next_one_and_the_next_step_in_another_order()
    {
        int[][] first = [.. PolicyUpdates.Minibatches(groups: 20, size: 8, seed: 1, step: 0, epoch: 0)];
        Assert.Equal([8, 8, 4], first.Select(minibatch => minibatch.Length));
        Assert.Equal(Enumerable.Range(0, 20), first.SelectMany(minibatch => minibatch).Order());
        foreach (var (step, epoch) in new[] { (0, 1), (1, 0) })
        {
            var other = PolicyUpdates.Minibatches(20, 8, 1, step, epoch).SelectMany(minibatch => minibatch).ToList();
            Assert.Equal(Enumerable.Range(0, 20), other.Order());
            Assert.NotEqual(first.SelectMany(minibatch => minibatch), other);
        }
        // A run that goes on finds the same order.
        Assert.Equal(first, PolicyUpdates.Minibatches(20, 8, 1, 0, 0));
    }

    [Fact]
    public void Dropout_is_off_while_answers_are_learned_from_so_that_the_first_ratio_is_1()
    {
        using var model = new Transformer(TinyModels.Config(), dropout: 0.5f);
        model.Initialize(seed: 1);
        var answers = new[] { new Answer([1, 2, 3, 4, 5], 2), new Answer([6, 7, 8], 1) }.Select(answer => Judged(model, answer)).ToList();
        model.train();
        using var update = new ModelUpdate(model, new OptimizerSection(), "weights", "moments", SingleProcess.Instance);
        var rules = new UpdateRules { Update = new UpdateSection { Iterations = 1, Epochs = 1 }, Temperature = 1, Padding = 0, Seed = 1 };
        var summary = new PolicyUpdates(update, critic: null, rules, SingleProcess.Instance).Run([.. answers.Select(answer => new[] { answer })], step: 0, policyRate: 1e-3, criticRate: 0);
        Assert.Equal(1, summary.Updates);
        Assert.Equal(0, summary.FirstClipFraction);
        Assert.Equal(0, summary.FirstDivergence, 1e-6);
    }

    [Theory]
    [InlineData(null, 5)] // the tokens of both answers, 3 and 2
    [InlineData(4.0, 8)] // 4 for each, however long it is
    public void A_minibatchs_loss_is_divided_by_all_its_tokens_or_by_a_constant_for_each_answer(double? tokensPerAnswer, double expected)
    {
        using var scope = torch.NewDisposeScope();
        using var model = new Transformer(TinyModels.Config());
        model.Initialize(seed: 1);
        Answer[] answers = [new([1, 2, 3, 4, 5], 2), new([6, 7, 8], 1)];
        var experiences = answers.Select(answer => Judged(model, answer)).ToList();
        using var update = new ModelUpdate(model, new OptimizerSection(), "weights", "moments", SingleProcess.Instance);
        // One answer at once: what is divided by must be the whole minibatch's all the same.
        var rules = new UpdateRules { Update = new UpdateSection { Iterations = 1, Epochs = 1, MicroBatchRows = 1 }, Temperature = 1, Padding = 0, Seed = 1, TokensPerAnswer = tokensPerAnswer };
        // At the ratio 1 and with advantages of 1 the gradient is that of minus the sum of log-probabilities.
        (-AnswerTensors.LogProbs(model, answers, padding: 0).LogProbsN.sum()).backward();
        double norm = Math.Sqrt(model.parameters().Sum(parameter => Math.Pow(parameter.grad!.norm().item<float>(), 2)));
        foreach (var parameter in model.parameters())
        {
            parameter.grad = null;
        }
        var summary = new PolicyUpdates(update, critic: null, rules, SingleProcess.Instance).Run([[.. experiences]], step: 0, policyRate: 0, criticRate: 0);
        Assert.Equal(norm / expected, summary.PolicyNorm, norm * 1e-5);
    }

    private static Experience Judged(Transformer model, Answer answer)
    {
        model.eval();
        using var noGradient = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        float[] logProbs = AnswerTensors.LogProbs(model, [answer], padding: 0).LogProbsN.data<float>().ToArray();
        var prompt = new EncodedPrompt(answer.Ids[..answer.PromptLength], new Prompt([ChatMessage.User("?")], null, default));
        return new Experience(prompt, answer) { IsEnded = true, SamplerLogProbs = logProbs, LogProbs = logProbs, ReferenceLogProbs = logProbs, Advantages = [.. logProbs.Select(_ => 1f)] };
    }
}
