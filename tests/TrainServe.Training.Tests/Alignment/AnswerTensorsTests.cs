using TorchSharp;
using TrainServe.Model;
using TrainServe.TestSupport;
using TrainServe.Training.Alignment;
using static TorchSharp.torch;

namespace TrainServe.Training.Tests.Alignment;

[Collection(TorchFixture.Generator)]
public sealed class AnswerTensorsTests
{
    [Fact]
    public void The_probability_of_a_token_is_read_one_position_before_it()
    {
        using var model = HandBuiltModel.Successor(logit: 3);
        // After 1 comes 2, after 2 comes 3; 7 does not follow 3. e^3 against 15 others with e^0.
        double likely = 3 - Math.Log(Math.Exp(3) + 15), unlikely = -Math.Log(Math.Exp(3) + 15);
        Assert.Equal([likely, likely, unlikely], LogProbs(model, [new Answer([0, 1, 2, 3, 7], 2)]), Near);
    }

    [Fact]
    public void The_temperature_divides_the_logits()
    {
        using var model = HandBuiltModel.Successor(logit: 3);
        double likely = 1.5 - Math.Log(Math.Exp(1.5) + 15);
        Assert.Equal([likely], LogProbs(model, [new Answer([4, 5], 1)], temperature: 2), Near);
    }

    [Fact]
    public void The_entropy_is_that_of_each_distribution()
    {
        using var model = HandBuiltModel.Successor(logit: 3);
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var (_, entropyN) = AnswerTensors.LogProbs(model, [new Answer([4, 5], 1)], padding: 0, withEntropy: true);
        double sum = Math.Exp(3) + 15, likely = Math.Exp(3) / sum, other = 1 / sum;
        Assert.Equal(-likely * Math.Log(likely) - 15 * other * Math.Log(other), entropyN!.item<float>(), 1e-5);
    }

    [Fact]
    public void A_score_is_read_at_the_last_real_token_whatever_pads_and_whatever_stands_inside()
    {
        using var model = HandBuiltModel.Score();
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        // 9 stands for a token that ends texts: inside the second row it ends nothing.
        Answer[] rows = [new([1, 2, 5], 1), new([1, 9, 3, 2, 4], 1), new([1, 9], 1)];
        foreach (int padding in new[] { 0, 9, 15 })
        {
            Assert.Equal([5, 4, 9], Values(AnswerTensors.Scores(model, rows, padding)), Near);
        }
    }

    [Fact]
    public void Scores_and_values_depend_on_the_prompt_and_not_on_the_answer_alone()
    {
        using var reward = Random(score: true);
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        Answer one = new([3, 1, 4, 1, 5], 2), other = new([9, 1, 4, 1, 5], 2);
        Assert.NotEqual(Values(AnswerTensors.Scores(reward, [one], 0))[0], Values(AnswerTensors.Scores(reward, [other], 0))[0], 1e-4);
        Assert.All(Values(AnswerTensors.Values(reward, [one], 0)).Zip(Values(AnswerTensors.Values(reward, [other], 0))), pair => Assert.NotEqual(pair.First, pair.Second, 1e-4));
    }

    [Fact]
    public void Scores_along_a_pair_are_read_at_the_tokens_of_both_answers_as_far_as_the_shorter_goes()
    {
        using var model = HandBuiltModel.Score();
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        // The score at token i is i.
        Answer[] chosen = [new([1, 2, 5, 6], 2), new([7, 3], 1)], rejected = [new([1, 2, 8, 9, 10], 2), new([7, 4, 4, 4], 1)];
        var (hiddenBTC, chosenB, rejectedB) = AnswerTensors.Pairs(model, chosen, rejected, padding: 15);
        Assert.Equal([6, 3], Values(chosenB), Near);
        Assert.Equal([10, 4], Values(rejectedB), Near);
        var (chosenN, rejectedN, weightsN) = AnswerTensors.ScoresAlong(model, hiddenBTC, chosen, rejected);
        Assert.Equal([5, 6, 3], Values(chosenN), Near);
        Assert.Equal([8, 9, 4], Values(rejectedN), Near);
        Assert.Equal([0.5, 0.5, 1], Values(weightsN), Near);
    }

    [Fact]
    public void The_targets_of_answers_are_their_own_tokens_alone()
    {
        using var scope = NewDisposeScope();
        Assert.Equal([-100L, 5, 6, -100, 3, -100, -100, -100], AnswerTensors.Targets([new([1, 2, 5, 6], 2), new([7, 3], 1)], 4, CPU).data<long>().ToArray());
    }

    [Fact]
    public void Neither_company_nor_padding_changes_what_a_model_says_of_an_answer()
    {
        using var policy = Random(score: false);
        using var reward = Random(score: true);
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        Answer one = new([3, 1, 4, 1, 5], 2), other = new([9, 2, 6, 5, 3, 5, 8, 9], 3), third = new([7, 9], 1);
        double[] alone = LogProbs(policy, [one]);
        Assert.Equal(alone, LogProbs(policy, [one, other, third], padding: 0)[..3], Near);
        Assert.Equal(alone, LogProbs(policy, [other, one, third], padding: 31)[5..8], Near);
        double score = Values(AnswerTensors.Scores(reward, [one], 0))[0];
        Assert.Equal(score, Values(AnswerTensors.Scores(reward, [other, one, third], 31))[1], 1e-5);
        double[] values = Values(AnswerTensors.Values(reward, [one], 0));
        Assert.Equal(values, Values(AnswerTensors.Values(reward, [other, one], 31))[5..], Near);
    }

    [Fact]
    public void A_row_without_an_answer_adds_nothing_and_gives_no_NaN()
    {
        using var model = Random(score: false);
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        Answer[] rows = [new([3, 1, 4], 3), new([3, 1, 4], 2)];
        var (logProbsN, _) = AnswerTensors.LogProbs(model, rows, padding: 0);
        Assert.Equal(1, logProbsN.shape[0]);
        double[] sums = Values(AnswerTensors.SumByRow(logProbsN, rows));
        Assert.Equal(0, sums[0]);
        Assert.Equal(logProbsN.item<float>(), sums[1], 1e-6);
    }

    [Fact]
    public void A_fresh_head_has_the_papers_deviation_and_a_critics_first_values_are_zero()
    {
        using var directory = new TemporaryDirectory();
        var package = TinyPackages.Write(directory.PathOf("base"), TinyModels.Config(TinyPackages.VocabSize, hiddenSize: 512, intermediateSize: 8, layers: 1));
        using var scope = NewDisposeScope();
        using var reward = ScoredTransformer.Load(package, seed: 3);
        using var noGradient = no_grad();
        double[] weights = Values(StateDictAdapter.View(reward, "score.weight").flatten());
        // 512 draws: the standard deviation of the estimate is a thirty-second of it.
        Assert.Equal(1, Math.Sqrt(weights.Average(weight => weight * weight)) * Math.Sqrt(513), 0.15);
        using var critic = ScoredTransformer.LoadCritic(package);
        Assert.All(Values(AnswerTensors.Values(critic, [new Answer([1, 2, 3], 1)], 0)), value => Assert.Equal(0, value));
        using var language = Transformer.Load(package);
        Assert.True(StateDictAdapter.View(language, "model.layers.0.mlp.up_proj.weight").equal(StateDictAdapter.View(reward, "model.layers.0.mlp.up_proj.weight")).all().item<bool>());
    }

    private static bool Near(double expected, double actual) => Math.Abs(expected - actual) < 1e-5;

    private static Transformer Random(bool score)
    {
        var config = TinyModels.Config();
        var model = new Transformer(score ? ScoredTransformer.ConfigOf(config) : config with { InitializerRange = 0.3f });
        model.Initialize(5);
        model.eval();
        return model;
    }

    private static double[] LogProbs(Transformer model, IReadOnlyList<Answer> rows, float temperature = 1, int padding = 0)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        return Values(AnswerTensors.LogProbs(model, rows, padding, temperature).LogProbsN);
    }

    private static double[] Values(Tensor values) => values.to(ScalarType.Float64).data<double>().ToArray();
}
