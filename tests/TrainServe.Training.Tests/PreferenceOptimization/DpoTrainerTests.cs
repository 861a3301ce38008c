using System.Text.Json;
using TrainServe.Core.Packaging;
using TrainServe.TestSupport;
using TrainServe.Training.Loops;
using TrainServe.Training.PreferenceOptimization;
using TrainServe.Training.Recipes;
using TrainServe.Training.Tests.Loops;

namespace TrainServe.Training.Tests.PreferenceOptimization;

[Collection(TorchFixture.Generator)]
public sealed class DpoTrainerTests : StageRuns
{
    private const string RecipeText = """
        data: { validation_fraction: 0.2 }
        training: { steps: 12, batch_rows: 8, micro_batch_rows: 4 }
        optimizer: { learning_rate: 0.002, min_learning_rate: 0.0002, warmup_steps: 2 }
        validation: { every_steps: 6 }
        checkpoint: { every_steps: 5 }
        """;

    public DpoTrainerTests()
        : base(RecipeText, "pairs.jsonl", "base")
    {
        TinyPackages.Write(Files.PathOf("base"), TinyModels.Config(TinyPackages.VocabSize, hiddenSize: 32, intermediateSize: 64, maxPositions: 32));
        File.WriteAllLines(Files.PathOf("pairs.jsonl"), Enumerable.Range(0, 64).Select(i => $$"""{"prompt":"Q{{i}}","chosen":"yes {{i}}","rejected":"no {{i}}"}"""));
    }

    [Theory]
    [InlineData("sigmoid", 0.1, 0.69315)]
    // (0 - 1 / (2 * 0.5))^2
    [InlineData("ipo", 0.5, 1)]
    public void The_first_loss_is_that_of_a_policy_that_is_the_reference_and_then_it_falls(string loss, double beta, double first)
    {
        var (_, package) = Run("out", overrides: [$"dpo.loss={loss}", $"dpo.beta={beta}", "optimizer.warmup_steps=0"]);
        Assert.Equal(first, Display.Steps[0].Loss, 1e-4);
        Assert.True(Display.Steps[^1].Loss < 0.8 * first);
        Assert.Equal(1, package!.Manifest!.Lineage.Results["validation/accuracy"], 0.1);
        Assert.False(package.Config.IsRewardModel);
    }

    [Fact]
    public void Rewards_of_both_sides_are_reported_apart()
    {
        Run("out");
        var lines = File.ReadLines(Files.PathOf("out", "metrics.jsonl")).Select(line => JsonDocument.Parse(line).RootElement).Where(line => line.GetProperty("event").GetString() == "train").ToList();
        var last = lines[^1];
        Assert.Equal(last.GetProperty("margin").GetDouble(), last.GetProperty("reward_chosen").GetDouble() - last.GetProperty("reward_rejected").GetDouble(), 1e-9);
        Assert.Equal(0, lines[0].GetProperty("reward_chosen").GetDouble(), 1e-4);
    }

    [Fact]
    public void A_run_that_is_killed_goes_on_and_gives_the_same_model()
    {
        var (_, whole) = Run("whole");
        Assert.Throws<TimeoutException>(() => Run("out", display: new FailingDisplay(8)));
        var (_, resumed) = Run("out", resume: true);
        Assert.Contains(Display.Notes, note => note.Contains("are those of an earlier session", StringComparison.Ordinal));
        Assert.Equal(File.ReadAllBytes(whole!.WeightsPath), File.ReadAllBytes(resumed!.WeightsPath));
    }

    [Fact]
    public void The_kept_reference_is_not_used_for_other_pairs_or_another_model()
    {
        Prepare(Options("out")).Dispose();
        File.WriteAllText(Files.PathOf("pairs.jsonl"), File.ReadAllText(Files.PathOf("pairs.jsonl")).Replace("yes 7", "yes 8", StringComparison.Ordinal));
        Prepare(Options("out")).Dispose();
        TinyPackages.Write(Files.PathOf("other"), TinyModels.Config(TinyPackages.VocabSize, hiddenSize: 32, intermediateSize: 64, maxPositions: 32), seed: 2);
        Prepare(Options("out") with { Model = Files.PathOf("other") }).Dispose();
        Assert.Equal(3, Display.Notes.Count(note => note.Contains("128 answers were computed", StringComparison.Ordinal)));
        Prepare(Options("out") with { Model = Files.PathOf("other") }).Dispose();
        Assert.Contains(Display.Notes, note => note.Contains("are those of an earlier session", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("""{"prompt":"P","chosen":"same","rejected":"same"}""", "pairs.jsonl:65: chosen and rejected are the same")]
    [InlineData("""{"prompt":"P","rejected":"alone"}""", "pairs.jsonl:65: the field 'chosen' is missing")]
    [InlineData("""{"prompt":"P","chosen":" ","rejected":"x"}""", "pairs.jsonl:65: the conversation with the chosen answer")]
    [InlineData("""{"prompt":[{"role":"assistant","content":"P"}],"chosen":"a","rejected":"b"}""", "pairs.jsonl:65: the conversation with the chosen answer")]
    public void A_bad_pair_stops_the_run_with_file_and_line_or_is_counted(string record, string fault)
    {
        File.AppendAllLines(Files.PathOf("pairs.jsonl"), [record]);
        Assert.Contains(fault, Assert.Throws<InvalidDataException>(() => Prepare(Options("out"))).Message, StringComparison.Ordinal);
        using var run = Prepare(Options("out", overrides: ["data.skip_bad_records=true"]));
        Assert.Contains("1 left out", run.Plan.Notes[0], StringComparison.Ordinal);
    }

    [Fact]
    public void Pairs_that_are_too_long_are_counted_and_without_any_other_there_is_no_run()
    {
        string much = new('a', 40);
        File.AppendAllLines(Files.PathOf("pairs.jsonl"), [$$"""{"prompt":"P","chosen":"short","rejected":"{{much}}"}"""]);
        using (var run = Prepare(Options("out")))
        {
            Assert.Contains("1 left out because a side is longer than 32 tokens", run.Plan.Notes[0], StringComparison.Ordinal);
        }
        File.WriteAllLines(Files.PathOf("pairs.jsonl"), [$$"""{"prompt":"P","chosen":"short","rejected":"{{much}}"}""", $$"""{"prompt":"P","chosen":"{{much}}","rejected":"short"}"""]);
        Assert.Contains("pairs.jsonl has no pair to train on: 2 are longer than 32 tokens", Assert.Throws<InvalidDataException>(() => Prepare(Options("none"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_format_that_is_not_known_is_named_with_the_fields_that_it_has()
    {
        File.WriteAllLines(Files.PathOf("pairs.jsonl"), ["""{"question":"P","good":"a","bad":"b"}"""]);
        string message = Assert.Throws<InvalidDataException>(() => Prepare(Options("out"))).Message;
        Assert.Contains("pairs.jsonl:1: the record has the fields question, good, bad, which is none of the known formats", message, StringComparison.Ordinal);
        Assert.Contains("prompt, chosen and rejected", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_reward_model_is_refused()
    {
        var config = TinyModels.Config(TinyPackages.VocabSize) with { Architectures = [Core.ModelConfig.RewardModel], NumLabels = 1 };
        TinyPackages.Write(Files.PathOf("reward"), config);
        Assert.Contains("is a reward model, which gives scores and no tokens", Assert.Throws<InvalidDataException>(() => Prepare(Options("out") with { Model = Files.PathOf("reward") })).Message, StringComparison.Ordinal);
    }

    protected override ITrainingRun Begin(RunOptions options, ITrainingDisplay display) => DpoTrainer.Prepare(options, Recipe<DpoRecipe>(options), Work(options), display, TimeProvider.System);
}
