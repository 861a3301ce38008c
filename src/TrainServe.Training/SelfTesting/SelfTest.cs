using System.Globalization;
using TorchSharp;
using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.Core.Packaging;
using TrainServe.Core.Scoring;
using TrainServe.Model;
using TrainServe.Model.Generation;
using TrainServe.Training.Alignment;
using TrainServe.Training.FineTuning;
using TrainServe.Training.Loops;
using TrainServe.Training.PreferenceOptimization;
using TrainServe.Training.Recipes;
using TrainServe.Training.Reinforcement;
using TrainServe.Training.RewardModeling;
using static TorchSharp.torch;

namespace TrainServe.Training.SelfTesting;

/// <summary>What a check found.</summary>
/// <param name="Name">What was checked.</param>
/// <param name="Failure">Why it does not hold; null when it does.</param>
/// <param name="Seconds">How long it took.</param>
public sealed record SelfTestResult(string Name, string? Failure, double Seconds);

/// <summary>The details that decide whether alignment works, checked on a toy model on the machine that will train.</summary>
/// <remarks>The same rules have tests of their own; here they hold with this machine's libtorch, processor and threads.</remarks>
public sealed class SelfTest
{
    private readonly ToyModels _toys;
    private readonly TimeProvider _time;

    /// <param name="directory">Empty; the caller removes it.</param>
    /// <param name="time">The clock.</param>
    public SelfTest(string directory, TimeProvider time) => (_toys, _time) = (new ToyModels(directory, time), time);

    private IEnumerable<(string Name, Action Check)> Checks =>
    [
        ("a token's probability is read one position before it", ProbabilityIsReadOneBefore),
        ("company and padding change no log-probability and no score", PaddingChangesNothing),
        ("the sampler's cache and whole rows give the same log-probabilities", SamplerAgrees),
        ("fine-tuning learns the assistant's turns, and to end them", FineTuningLearnsToAnswer),
        ("a reward model tells good answers from others, and a tie is not right", RewardModelLearns),
        ("DPO begins at ln 2 and its margin grows", DpoBeginsAtLn2),
        ("PPO's first ratio is 1, nothing is clipped, and the divergence begins at 0", PpoBeginsAtOne),
        ("a killed PPO run goes on to the same bytes", PpoResumes),
        ("a group without spread changes no weight", FlatGroupsTeachNothing),
        ("advantages are worked out as by hand", AdvantagesAreRight),
        ("numbers in answers are read with sign, comma and point", NumbersAreRead),
    ];

    /// <summary>Runs every check; none stops another.</summary>
    public IEnumerable<SelfTestResult> Run(CancellationToken stop = default)
    {
        _toys.Language();
        foreach (var (name, check) in Checks)
        {
            stop.ThrowIfCancellationRequested();
            long started = _time.GetTimestamp();
            string? failure = null;
            try
            {
                check();
            }
            catch (Exception error)
            {
                failure = error.Message;
            }
            yield return new SelfTestResult(name, failure, _time.GetElapsedTime(started).TotalSeconds);
        }
    }

    private static void Require(bool holds, FormattableString failure)
    {
        if (!holds)
        {
            throw new InvalidDataException(failure.ToString(CultureInfo.InvariantCulture));
        }
    }

    private static bool Near(double one, double other, double tolerance = 1e-4) => Math.Abs(one - other) <= tolerance;

    private static float[] Values(Tensor values) => values.to(ScalarType.Float32).cpu().data<float>().ToArray();

    private Transformer LoadToy() => Transformer.Load(_toys.Language());

    private void ProbabilityIsReadOneBefore()
    {
        using var model = LoadToy();
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        int[] ids = [72, 105, 33, 10];
        float[] found = Values(AnswerTensors.LogProbs(model, [new Answer(ids, 1)], padding: 0).LogProbsN);
        var logProbsTV = nn.functional.log_softmax(model.forward(tensor(ids.Select(id => (long)id).ToArray(), ScalarType.Int64).unsqueeze(0))[0], 1);
        for (int t = 1; t < ids.Length; t++)
        {
            float expected = logProbsTV[t - 1, ids[t]].item<float>();
            Require(Near(found[t - 1], expected), $"token {t} has {found[t - 1]} instead of {expected}");
        }
    }

    private void PaddingChangesNothing()
    {
        using var policy = LoadToy();
        using var reward = ScoredTransformer.Load(_toys.Language(), seed: 7);
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        Answer one = new([1, 2, 3, 4], 2), other = new([5, 6, 7, 8, 9, 10, 11], 3);
        float[] alone = Values(AnswerTensors.LogProbs(policy, [one], 0).LogProbsN), together = Values(AnswerTensors.LogProbs(policy, [other, one], 99).LogProbsN);
        Require(Near(alone[0], together[4]) && Near(alone[1], together[5]), $"log-probabilities are {alone[0]}, {alone[1]} alone and {together[4]}, {together[5]} in company");
        float score = Values(AnswerTensors.Scores(reward, [one], 0))[0], inCompany = Values(AnswerTensors.Scores(reward, [other, one], 99))[1];
        Require(Near(score, inCompany), $"the score is {score} alone and {inCompany} in company");
    }

    private void SamplerAgrees()
    {
        using var model = LoadToy();
        int[][] prompts = [[1, 2, 3], [4, 5, 6, 7, 8, 9]];
        var sequences = new TextGenerator(model).GenerateBatch(prompts, 8, new Core.Sampling.SamplingParameters { Seed = 1 });
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        Answer[] rows = [.. prompts.Zip(sequences, (prompt, sequence) => new Answer([.. prompt, .. sequence.Ids], prompt.Length))];
        float[] ours = Values(AnswerTensors.LogProbs(model, rows, 0).LogProbsN);
        float worst = ours.Zip(sequences.SelectMany(sequence => sequence.LogProbs), (one, two) => Math.Abs(one - two)).Max();
        Require(worst < 1e-3, $"they differ by {worst}");
    }

    private void FineTuningLearnsToAnswer()
    {
        const string recipe = "data: { validation_fraction: 0 }\ntraining: { steps: 120, batch_rows: 3 }\noptimizer: { learning_rate: 0.01, warmup_steps: 2 }\n";
        var options = _toys.Options(recipe, _toys.Talks(), "sft");
        using var run = SftLoop.Prepare(options, RecipeFile.Read<FineTuningRecipe>(options.RecipePath), _toys.PathOf("sft-work"), new ToyDisplay(), _time);
        Require(run.Plan.Preview.Contains("⟦Meow<|end|>⟧", StringComparison.Ordinal), $"the mask is {run.Plan.Preview}");
        var package = run.Run(CancellationToken.None).Package!;
        var tokenizer = package.LoadTokenizer();
        var template = package.LoadChatTemplate(tokenizer);
        using var model = Transformer.Load(package);
        var sequence = new TextGenerator(model).Generate(template.EncodePrompt([ChatMessage.User("D?")]), 12, Core.Sampling.SamplingParameters.Greedy, [.. template.StopTokenIds]);
        string answer = tokenizer.Decode(sequence.ContentIds);
        Require(sequence.Stopped && answer == "Woof", $"the answer is '{answer}'{(sequence.Stopped ? "" : " and does not end")}");
    }

    private void RewardModelLearns()
    {
        const string recipe = "data: { validation_fraction: 0.25 }\ntraining: { steps: 40, batch_rows: 8 }\noptimizer: { learning_rate: 0.005, warmup_steps: 2 }\n";
        var options = _toys.Options(recipe, _toys.Pairs(), "reward");
        using var run = RewardTrainer.Prepare(options, RecipeFile.Read<RewardRecipe>(options.RecipePath), new ToyDisplay(), _time);
        double accuracy = run.Run(CancellationToken.None).Package!.Manifest!.Lineage.Results["accuracy/pairs"];
        Require(accuracy > 0.9, $"the accuracy on held-out pairs is {accuracy}");
        var tied = PreferenceAccuracy.Of([0, 0]);
        Require(tied.Accuracy == 0 && Near(tied.Loss, Math.Log(2)), $"ties have the accuracy {tied.Accuracy} and the loss {tied.Loss}");
    }

    private void DpoBeginsAtLn2()
    {
        const string recipe = "data: { validation_fraction: 0 }\ntraining: { steps: 15, batch_rows: 8 }\noptimizer: { learning_rate: 0.002, min_learning_rate: 0.0002, warmup_steps: 0 }\n";
        var options = _toys.Options(recipe, _toys.Pairs(), "dpo");
        var display = new ToyDisplay();
        using var run = DpoTrainer.Prepare(options, RecipeFile.Read<DpoRecipe>(options.RecipePath), _toys.PathOf("dpo-work"), display, _time);
        run.Run(CancellationToken.None);
        double first = display.Steps[0].Loss, last = display.Steps[^1].Loss;
        Require(Near(first, Math.Log(2), 1e-3), $"the first loss is {first}");
        Require(last < first, $"the loss went from {first} to {last}");
    }

    private ToyDisplay Ppo(string output, long? failAt = null, bool resume = false)
    {
        const string recipe = """
            rollout: { prompts: 8, max_new_tokens: 6 }
            update: { iterations: 4, epochs: 2, minibatch_rows: 4, micro_batch_rows: 2 }
            ppo: { normalization_samples: 16 }
            kl: { control: adaptive, horizon: 20, target: 0.5 }
            optimizer: { learning_rate: 0.003, min_learning_rate: 0.001 }
            checkpoint: { every_steps: 1 }
            """;
        if (!Directory.Exists(_toys.PathOf("reward")))
        {
            RewardModelLearns();
        }
        var options = _toys.Options(recipe, _toys.Prompts(), output, reward: "reward", resume: resume);
        var display = new ToyDisplay(failAt);
        using var run = PpoTrainer.Prepare(options, RecipeFile.Read<PpoRecipe>(options.RecipePath), display, _time);
        run.Run(CancellationToken.None);
        return display;
    }

    private void PpoBeginsAtOne()
    {
        foreach (var step in Ppo("ppo").Steps)
        {
            double clipped = step.Scalars["first_clip_fraction"], divergence = step.Scalars["first_approximate_kl"], difference = step.Scalars["sampler_difference"];
            Require(clipped == 0 && Math.Abs(divergence) < 1e-4, $"step {step.Step} begins with {clipped} clipped and a divergence of {divergence}");
            Require(difference < 1e-3, $"sampler and trainer differ by {difference}");
            Require(step.Step > 1 || Math.Abs(step.Scalars["kl"]) < 1e-3, $"the first divergence from the reference is {step.Scalars["kl"]}");
        }
    }

    private void PpoResumes()
    {
        try
        {
            Ppo("ppo-killed", failAt: 3);
            Require(false, $"the run was not killed");
        }
        catch (ToyDisplay.CrashException)
        {
            Ppo("ppo-killed", resume: true);
        }
        if (!Directory.Exists(_toys.PathOf("ppo")))
        {
            Ppo("ppo");
        }
        string whole = FileHash.OfFile(ModelPackage.Open(_toys.PathOf("ppo")).WeightsPath), resumed = FileHash.OfFile(ModelPackage.Open(_toys.PathOf("ppo-killed")).WeightsPath);
        Require(whole == resumed, $"the weights' hashes are {whole} and {resumed}");
    }

    private void FlatGroupsTeachNothing()
    {
        const string recipe = """
            rollout: { prompts: 4, max_new_tokens: 4 }
            update: { iterations: 1, epochs: 1, minibatch_rows: 8 }
            grpo: { group_size: 4, truncated: keep }
            rewards: [{ kind: format, pattern: "(?s).*" }]
            """;
        var options = _toys.Options(recipe, _toys.Prompts(), "grpo");
        using var run = GrpoTrainer.Prepare(options, RecipeFile.Read<GrpoRecipe>(options.RecipePath), new ToyDisplay(), _time);
        var package = run.Run(CancellationToken.None).Package!;
        Require(FileHash.OfFile(package.WeightsPath) == FileHash.OfFile(_toys.Language().WeightsPath), $"the weights have changed");
    }

    private static void AdvantagesAreRight()
    {
        float[] found = AdvantageEstimation.Advantages([1, 0, 1], [1, 2, 3], gamma: 0.9, lambda: 0.5);
        Require(Near(found[0], 1.71) && Near(found[1], -0.2) && Near(found[2], -2), $"generalized advantages are {found[0]}, {found[1]}, {found[2]} instead of 1.71, -0.2, -2");
        double other = GroupAdvantages.Of([1, 0, 0, 1], AdvantageKind.Rloo)[0];
        Require(Near(other, 2.0 / 3), $"leaving one out gives {other} instead of 2/3");
    }

    private static void NumbersAreRead()
    {
        foreach (var (text, expected) in new[] { ("so -1,234.5 it is", -1234.5m), ("5-3", 3m), ("#### 7 of 8", 7m) })
        {
            Require(NumberText.Last(text) == expected, $"'{text}' gives {NumberText.Last(text)}");
        }
    }
}
