using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.TestSupport;
using TrainServe.Training.FineTuning;
using TrainServe.Training.Loops;
using TrainServe.Training.PreferenceOptimization;
using TrainServe.Training.Recipes;
using TrainServe.Training.Reinforcement;
using TrainServe.Training.RewardModeling;
using TrainServe.Training.Tests.Loops;

namespace TrainServe.Training.Tests.Distributed;

/// <summary>Stages whose steps several processes share: here threads stand for them.</summary>
[Collection(TorchFixture.Generator)]
public sealed class SharedStepsTests : IDisposable
{
    // Updates in proportion to gradients, so that weights show every difference of these; with the usual epsilon a gradient near 0 would count by its sign.
    private const string Optimizer = "{ learning_rate: 0.2, min_learning_rate: 0.1, epsilon: 1, warmup_steps: 0 }";
    private static readonly Dictionary<string, string> _recipes = new(StringComparer.Ordinal)
    {
        ["reward"] = $$"""
            data: { validation_fraction: 0.2 }
            training: { steps: 6, batch_rows: 8, precision: float32 }
            reward: { every_token: 0.5, language_modeling: 0.2 }
            optimizer: {{Optimizer}}
            validation: { every_steps: 3 }
            checkpoint: { every_steps: 2 }
            """,
        ["dpo"] = $$"""
            data: { validation_fraction: 0.2 }
            training: { steps: 6, batch_rows: 8, precision: float32 }
            optimizer: {{Optimizer}}
            validation: { every_steps: 3 }
            checkpoint: { every_steps: 2 }
            """,
        ["sft"] = $$"""
            data: { validation_fraction: 0.2 }
            training: { steps: 6, batch_rows: 4, precision: float32 }
            lora: { rank: 4, alpha: 8 }
            optimizer: {{Optimizer}}
            validation: { every_steps: 3 }
            checkpoint: { every_steps: 2 }
            """,
        // Minibatches of 5 and 3 answers: no equal shares, and where there are 4 processes one has nothing to learn from.
        ["ppo"] = $$"""
            data: { validation_fraction: 0.2 }
            rollout: { prompts: 8, max_new_tokens: 6 }
            update: { iterations: 5, epochs: 2, minibatch_rows: 5, precision: float32 }
            ppo: { normalization_samples: 10, whiten_rewards: true }
            kl: { control: adaptive, horizon: 20, target: 0.5 }
            optimizer: {{Optimizer}}
            value_optimizer: {{Optimizer}}
            validation: { every_steps: 3 }
            checkpoint: { every_steps: 2 }
            """,
        ["grpo"] = $$"""
            data: { validation_fraction: 0.2 }
            rollout: { prompts: 4, max_new_tokens: 6 }
            update: { iterations: 5, epochs: 2, minibatch_rows: 12, precision: float32 }
            grpo: { group_size: 4, kl_coefficient: 0.1, truncated: keep }
            rewards:
              - { kind: format, pattern: "[^a].*" }
              - { kind: model, weight: 0.1 }
            optimizer: {{Optimizer}}
            validation: { every_steps: 3 }
            checkpoint: { every_steps: 2 }
            """,
    };

    private readonly TemporaryDirectory _files = new();

    public SharedStepsTests()
    {
        var config = TinyModels.Config(TinyPackages.VocabSize, hiddenSize: 32, intermediateSize: 64, maxPositions: 32) with { TieWordEmbeddings = true };
        TinyPackages.Write(_files.PathOf("base"), config);
        TinyPackages.Write(_files.PathOf("judge"), config with { Architectures = [ModelConfig.RewardModel], NumLabels = 1, TieWordEmbeddings = false }, seed: 3);
        foreach (var (stage, recipe) in _recipes)
        {
            _files.WriteText($"{stage}.yaml", recipe);
        }
        // Different lengths, so that every process has another number of tokens.
        File.WriteAllLines(_files.PathOf("pairs.jsonl"), Enumerable.Range(0, 48).Select(i => $$"""{"prompt":"Q{{i}}","chosen":"yes {{new string('y', i % 7)}}","rejected":"no {{i}}"}"""));
        File.WriteAllLines(_files.PathOf("talks.jsonl"), Enumerable.Range(0, 40).Select(i => $$"""{"messages":[{"role":"user","content":"{{i}}?"},{"role":"assistant","content":"{{new string('a', 1 + i % 9)}}"}]}"""));
        File.WriteAllLines(_files.PathOf("prompts.jsonl"), Enumerable.Range(0, 24).Select(i => $$"""{"context":"{{new string('?', i % 5)}}{{i}}+1=","continuation":"{{i + 1}}"}"""));
    }

    public void Dispose() => _files.Dispose();

    public static TheoryData<string, int> Stages => new(_recipes.Keys.SelectMany(stage => new[] { (stage, 2), (stage, 4) }));

    [Theory]
    [MemberData(nameof(Stages))]
    public void Several_processes_give_the_weights_and_the_numbers_of_one(string stage, int processes)
    {
        var one = Assert.Single(Run(stage, "one", 1)).Display;
        var several = Run(stage, "several", processes);
        AssertClose("one", "several");
        foreach (var display in several.Select(rank => rank.Display))
        {
            Assert.Equal(one.Steps.Count, display.Steps.Count);
            foreach (var (expected, found) in one.Steps.Zip(display.Steps))
            {
                Assert.Equal(expected.Loss, found.Loss, 1e-5);
                Assert.Equal(expected.GradientNorm, found.GradientNorm, 1e-4);
                Assert.Equal(expected.Scalars.Keys, found.Scalars.Keys);
                // At the first step of dpo both sides' rewards are 0 but for their last bits: which is the larger says nothing.
                Assert.All(expected.Scalars.Where(scalar => stage != "dpo" || expected.Step > 1 || scalar.Key != "accuracy"), scalar => Assert.Equal(scalar.Value, found.Scalars[scalar.Key], 1e-4));
            }
            Assert.All(one.Validations.Zip(display.Validations), pair => Assert.Equal(pair.First, pair.Second, 1e-5));
            Assert.Equal(one.Validations.Count, display.Validations.Count);
        }
        // One process writes for all.
        Assert.Single(several, rank => rank.Package is not null);
        Assert.Equal(File.ReadLines(_files.PathOf("one", "metrics.jsonl")).Count(), File.ReadLines(_files.PathOf("several", "metrics.jsonl")).Count());
        Assert.NotEqual(0, one.Steps[^1].GradientNorm);
    }

    [Theory]
    [InlineData("ppo")]
    [InlineData("grpo")]
    public void Processes_draw_the_answers_that_one_would(string stage)
    {
        Run(stage, "one", 1);
        Run(stage, "several", 2);
        string[] Samples(string output) => [.. File.ReadLines(_files.PathOf(output, "metrics.jsonl")).SelectMany(line => System.Text.Json.JsonDocument.Parse(line).RootElement.EnumerateObject()
            .Where(property => property.Name.StartsWith("sample_", StringComparison.Ordinal)).Select(property => property.Value.GetString()!))];
        Assert.Equal(10, Samples("one").Length);
        Assert.Equal(Samples("one"), Samples("several"));
    }

    [Theory]
    [InlineData("reward")]
    [InlineData("dpo")]
    [InlineData("sft")]
    [InlineData("ppo")]
    [InlineData("grpo")]
    public void A_job_that_one_of_its_processes_ended_goes_on_and_gives_the_same_model(string stage)
    {
        Run(stage, "whole", 2);
        Assert.Throws<TimeoutException>(() => Run(stage, "out", 2, failing: (1, 3)));
        Run(stage, "out", 2, resume: true);
        Assert.Equal(File.ReadAllBytes(_files.PathOf("whole", "model.safetensors")), File.ReadAllBytes(_files.PathOf("out", "model.safetensors")));
    }

    [Theory]
    [InlineData("reward", 2)]
    [InlineData("dpo", 1)]
    [InlineData("sft", 1)]
    [InlineData("ppo", 1)]
    [InlineData("grpo", 2)]
    public void Blocks_that_are_computed_again_give_the_same_model(string stage, int processes)
    {
        Run(stage, "kept", processes);
        Run(stage, "again", processes, change: stage is "ppo" or "grpo" ? "update.activation_checkpointing=true" : "training.activation_checkpointing=true");
        Assert.Equal(File.ReadAllBytes(_files.PathOf("kept", "model.safetensors")), File.ReadAllBytes(_files.PathOf("again", "model.safetensors")));
    }

    [Fact]
    public void A_request_to_one_process_stops_all_of_them_at_the_same_step()
    {
        using var stop = new CancellationTokenSource();
        var ended = Run("dpo", "out", 2, stop: (1, 3, stop)).Select(rank => rank.Outcome);
        Assert.All(ended, outcome => Assert.Equal((TrainingEnd.Interrupted, 3L), (outcome.End, outcome.State.Step)));
        Assert.True(Directory.Exists(_files.PathOf("out", "checkpoints", "step-00000003")));
    }

    [Theory]
    [InlineData("reward", "training.batch_rows=2", "training.batch_rows is 2 and there are 3 processes, so that some would have nothing to do; start at most 2, or raise training.batch_rows.")]
    [InlineData("dpo", "training.batch_rows=4", "training.batch_rows is 4, which 3 processes cannot share evenly; make it a multiple of 3.")]
    [InlineData("sft", "training.batch_rows=1", "training.batch_rows is 1 and there are 3 processes, so that some would have nothing to do; start at most 1, or raise training.batch_rows.")]
    [InlineData("grpo", "rollout.prompts=2", "rollout.prompts is 2 and there are 3 processes, so that some would have nothing to do; start at most 2, or raise rollout.prompts.")]
    [InlineData("ppo", "update.minibatch_rows=1", "update.minibatch_rows is 1 and there are 3 processes, so that some would have nothing to do; start at most 1, or raise update.minibatch_rows.")]
    [InlineData("grpo", "rollout.prompts=4", "rollout.prompts is 4, which 3 processes cannot share evenly; make it a multiple of 3.")]
    public void More_processes_than_work_are_refused(string stage, string change, string sentence) =>
        Assert.Equal(sentence, Assert.Throws<RecipeException>(() => Run(stage, "out", 3, change: change)).Message);

    private (RecordingDisplay Display, TrainingOutcome Outcome, ModelPackage? Package)[] Run(string stage, string output, int processes, bool resume = false, (int Rank, int Step)? failing = null, (int Rank, int Step, CancellationTokenSource Source)? stop = null, string? change = null) => ThreadGroup.Run(processes, group =>
    {
        var asked = stop is { } request && request.Rank == group.Rank ? stop : null;
        var display = failing is { } place && place.Rank == group.Rank ? new FailingDisplay(place.Step) : asked is { } here ? new StoppingDisplay(here.Source, here.Step) : new RecordingDisplay();
        var options = Options(stage, output, resume, change) with { Processes = processes == 1 ? Training.Distributed.SingleProcess.Instance : group };
        if (group.Rank > 0)
        {
            // The first prepares what all use.
            group.Wait();
        }
        using var run = Prepare(stage, options, display);
        if (group.Rank == 0)
        {
            group.Wait();
        }
        var (outcome, package) = run.Run(asked?.Source.Token ?? CancellationToken.None);
        return (display, outcome, package);
    });

    private ITrainingRun Prepare(string stage, RunOptions options, RecordingDisplay display)
    {
        T Recipe<T>()
            where T : class, IRecipeSection => RecipeFile.Read<T>(options.RecipePath, options.Overrides);
        string work = Path.Combine(options.Output, "prepared");
        return stage switch
        {
            "reward" => RewardTrainer.Prepare(options, Recipe<RewardRecipe>(), display, TimeProvider.System),
            "dpo" => DpoTrainer.Prepare(options, Recipe<DpoRecipe>(), work, display, TimeProvider.System),
            "sft" => SftLoop.Prepare(options, Recipe<FineTuningRecipe>(), work, display, TimeProvider.System),
            "ppo" => PpoTrainer.Prepare(options, Recipe<PpoRecipe>(), display, TimeProvider.System),
            _ => GrpoTrainer.Prepare(options, Recipe<GrpoRecipe>(), display, TimeProvider.System),
        };
    }

    private RunOptions Options(string stage, string output, bool resume = false, string? change = null) => new()
    {
        RecipePath = _files.PathOf($"{stage}.yaml"),
        Overrides = change is null ? [] : [change],
        Data = [_files.PathOf(stage switch { "reward" or "dpo" => "pairs.jsonl", "sft" => "talks.jsonl", _ => "prompts.jsonl" })],
        Model = _files.PathOf("base"),
        RewardModel = stage is "ppo" or "grpo" ? _files.PathOf("judge") : null,
        Output = _files.PathOf(output),
        Resume = resume,
    };

    private void AssertClose(string one, string other)
    {
        using var first = SafeTensorsReader.Open(_files.PathOf(one, "model.safetensors"));
        using var second = SafeTensorsReader.Open(_files.PathOf(other, "model.safetensors"));
        using var before = SafeTensorsReader.Open(_files.PathOf("base", "model.safetensors"));
        Assert.NotEmpty(first.Entries);
        Assert.All(first.Entries.Keys, name => Assert.All(first.ReadSingles(name).Zip(second.ReadSingles(name)), pair => Assert.Equal(pair.First, pair.Second, 1e-6f)));
        // It has learned something at all.
        Assert.Contains(first.ReadSingles(WeightNames.Embedding).Zip(before.ReadSingles(WeightNames.Embedding)).Concat(first.ReadSingles(WeightNames.Query(0)).Zip(before.ReadSingles(WeightNames.Query(0)))), pair => Math.Abs(pair.First - pair.Second) > 1e-4f);
    }
}
