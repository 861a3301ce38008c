using TorchSharp;
using TrainServe.Core;
using TrainServe.Core.Chat;
using TrainServe.Core.Packaging;
using TrainServe.Model;
using TrainServe.TestSupport;
using TrainServe.Training.Alignment;
using TrainServe.Training.Loops;
using TrainServe.Training.Recipes;
using TrainServe.Training.RewardModeling;
using TrainServe.Training.Tests.Loops;

namespace TrainServe.Training.Tests.RewardModeling;

[Collection(TorchFixture.Generator)]
public sealed class RewardTrainerTests : StageRuns
{
    private const string RecipeText = """
        data: { validation_fraction: 0.2 }
        training: { steps: 12, batch_rows: 8, micro_batch_rows: 4 }
        optimizer: { learning_rate: 0.003, warmup_steps: 2 }
        validation: { every_steps: 6 }
        checkpoint: { every_steps: 5 }
        """;

    public RewardTrainerTests()
        : base(RecipeText, "pairs.jsonl", "base")
    {
        TinyPackages.Write(Files.PathOf("base"), TinyModels.Config(TinyPackages.VocabSize, hiddenSize: 32, intermediateSize: 64, maxPositions: 32));
        File.WriteAllLines(Files.PathOf("pairs.jsonl"), Enumerable.Range(0, 64).Select(i => $$"""{"prompt":"Q{{i}}","chosen":"yes {{i}}","rejected":"no {{i}}"}"""));
    }

    [Fact]
    public void A_reward_model_learns_which_answers_are_liked_and_is_a_model_of_its_own()
    {
        var (outcome, package) = Run("out", overrides: ["training.steps=40", "training.micro_batch_rows=8"]);
        package!.Verify();
        Assert.Equal(TrainingEnd.Completed, outcome.End);
        Assert.True(package.Config.IsRewardModel);
        Assert.Equal(1, package.Config.NumLabels);
        var results = package.Manifest!.Lineage.Results;
        Assert.Equal(1, results["accuracy/pairs"]);
        Assert.InRange(results["calibration_error/pairs"], 0, 0.3);
        using var weights = package.OpenWeights();
        Assert.Equal([1, 32], weights.Entries["score.weight"].Shape);
        using var model = Transformer.Load(package);
        var encoder = new PairEncoder(package.LoadChatTemplate(package.LoadTokenizer()));
        var pair = encoder.Encode(new Core.Data.PreferencePair([ChatMessage.User("Q99")], ChatMessage.Assistant("yes 99"), ChatMessage.Assistant("no 99"), default));
        using var noGradient = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        var scores = AnswerTensors.Scores(model, [pair.Chosen, pair.Rejected], 0);
        Assert.True(scores[0].item<float>() > scores[1].item<float>());
    }

    [Fact]
    public void A_run_that_is_killed_goes_on_and_gives_the_same_model()
    {
        var (_, whole) = Run("whole");
        Assert.Throws<TimeoutException>(() => Run("out", display: new FailingDisplay(8)));
        var (_, resumed) = Run("out", resume: true);
        Assert.Equal(File.ReadAllBytes(whole!.WeightsPath), File.ReadAllBytes(resumed!.WeightsPath));
    }

    [Fact]
    public void A_reward_model_can_be_trained_further()
    {
        Run("first");
        using var run = Prepare(Options("second") with { Model = Files.PathOf("first") });
        var (_, package) = run.Run(CancellationToken.None);
        Assert.True(package!.Config.IsRewardModel);
        Assert.Equal("reward", package.Manifest!.Lineage.Stage);
    }

    [Fact]
    public void Smaller_micro_batches_give_the_same_step()
    {
        double Loss(string output, int micro)
        {
            Run(output, overrides: ["training.steps=1", $"training.micro_batch_rows={micro}", "validation.every_steps=100"]);
            return Display.Steps[^1].Loss;
        }
        Assert.Equal(Loss("one", 8), Loss("four", 2), 1e-5);
        Assert.Equal(Display.Steps[0].GradientNorm, Display.Steps[1].GradientNorm, 1e-4);
    }

    [Fact]
    public void Scores_along_the_answers_and_the_next_token_are_learned_beside_them_in_any_micro_batches()
    {
        string[] both = ["reward.every_token=0.5", "reward.language_modeling=0.2"];
        TinyPackages.Write(Files.PathOf("base-tied"), TinyModels.Config(TinyPackages.VocabSize, hiddenSize: 32, intermediateSize: 64, maxPositions: 32) with { TieWordEmbeddings = true });
        IReadOnlyDictionary<string, double> Step(string output, int micro)
        {
            using var run = Prepare(Options(output, overrides: [.. both, "training.steps=30", $"training.micro_batch_rows={micro}", "validation.every_steps=100"]) with { Model = Files.PathOf("base-tied") });
            run.Run(CancellationToken.None);
            return Display.Steps[^1].Scalars;
        }
        var (whole, parts) = (Step("whole", 8), Step("parts", 2));
        // Where they begin the head knows nothing: ln 2 at every place, and ln V for the next token.
        var first = Display.Steps[0].Scalars;
        Assert.InRange(first["loss_every_token"], 0.5, 0.9);
        Assert.InRange(first["loss_language_modeling"], 4, 7);
        Assert.True(whole["loss_every_token"] < 0.2, $"{whole["loss_every_token"]}");
        Assert.True(whole["loss_language_modeling"] < 0.6 * first["loss_language_modeling"], $"{whole["loss_language_modeling"]}");
        Assert.Equal(first["loss_every_token"], Display.Steps[30].Scalars["loss_every_token"], 1e-5);
        Assert.Equal(first["loss_language_modeling"], Display.Steps[30].Scalars["loss_language_modeling"], 1e-4);
        Assert.Equal(Display.Steps[0].GradientNorm, Display.Steps[30].GradientNorm, 1e-3);
        Assert.Equal(1, parts["accuracy"]);
    }

    [Fact]
    public void The_next_token_cannot_be_learned_without_a_head_for_tokens() => Assert.Contains("reward.language_modeling is 0.2; it needs a model whose embedding is its head too",
        Assert.Throws<RecipeException>(() => Prepare(Options("out", overrides: ["reward.language_modeling=0.2"]))).Message, StringComparison.Ordinal);

    [Fact]
    public void A_pair_of_which_either_side_is_too_long_is_left_out_and_counted()
    {
        string much = new('a', 40);
        File.AppendAllLines(Files.PathOf("pairs.jsonl"), [$$"""{"prompt":"P","chosen":"short","rejected":"{{much}}"}""", $$"""{"prompt":"P","chosen":"{{much}}","rejected":"short"}"""]);
        using var run = Prepare(Options("out"));
        Assert.Contains("2 left out because a side is longer than 32 tokens", Assert.Single(run.Plan.Notes), StringComparison.Ordinal);
        Assert.Contains("chosen   yes", run.Plan.Preview, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"prompt":"P","chosen":"same","rejected":"same"}""", "pairs.jsonl:65: chosen and rejected are the same")]
    [InlineData("""{"prompt":"P","chosen":"alone"}""", "pairs.jsonl:65: the field 'rejected' is missing")]
    [InlineData("""{"prompt":"P","chosen":"","rejected":"x"}""", "pairs.jsonl:65: the conversation with the chosen answer")]
    [InlineData("""{"prompt":"P","chosen":"a","rejected":"b","margin":"much"}""", "pairs.jsonl:65: the field 'margin' must be a number")]
    public void A_bad_pair_stops_the_run_with_file_and_line_or_is_counted(string record, string fault)
    {
        File.AppendAllLines(Files.PathOf("pairs.jsonl"), [record]);
        Assert.Contains(fault, Assert.Throws<InvalidDataException>(() => Prepare(Options("out"))).Message, StringComparison.Ordinal);
        using var run = Prepare(Options("out", overrides: ["data.skip_bad_records=true"]));
        Assert.Contains("1 left out", run.Plan.Notes[0], StringComparison.Ordinal);
    }

    [Fact]
    public void Parts_of_the_prompts_do_not_meet()
    {
        int Count(double from, double to)
        {
            using var run = Prepare(Options("out", overrides: [$"data.part_from={from}", $"data.part_to={to}", "data.validation_fraction=0"]));
            return int.Parse(run.Plan.Notes[0].Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture);
        }
        int first = Count(0, 0.5), second = Count(0.5, 1);
        Assert.Equal(64, first + second);
        Assert.InRange(first, 16, 48);
    }

    [Fact]
    public void Changed_pairs_are_refused_on_resume()
    {
        Assert.Throws<TimeoutException>(() => Run("out", display: new FailingDisplay(8)));
        File.WriteAllText(Files.PathOf("pairs.jsonl"), File.ReadAllText(Files.PathOf("pairs.jsonl")).Replace("yes 7", "yes 8", StringComparison.Ordinal));
        Assert.Contains("the content of the data source pairs was", Assert.Throws<RecipeException>(() => Run("out", resume: true)).Message, StringComparison.Ordinal);
    }

    protected override ITrainingRun Begin(RunOptions options, ITrainingDisplay display) => RewardTrainer.Prepare(options, Recipe<RewardRecipe>(options), display, TimeProvider.System);
}
