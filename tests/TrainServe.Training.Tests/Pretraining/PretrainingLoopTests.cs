using System.Globalization;
using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Core.Tokenization;
using TrainServe.TestSupport;
using TrainServe.Training.Checkpointing;
using TrainServe.Training.Data;
using TrainServe.Training.Loops;
using TrainServe.Training.Pretraining;
using TrainServe.Training.Recipes;
using TrainServe.Training.Tests.Loops;

namespace TrainServe.Training.Tests.Pretraining;

[Collection(TorchFixture.Generator)]
public sealed class PretrainingLoopTests : StageRuns
{
    private const string RecipeText = """
        seed: 3
        tokenizer: { vocab_size: 280 }
        model: { hidden_size: 16, intermediate_size: 24, num_hidden_layers: 2, num_attention_heads: 4 }
        data: { sequence_length: 12, validation_rule: tail, validation_fraction: 0.2 }
        training: { steps: 12, batch_rows: 4, micro_batch_rows: 2, dropout: 0.1 }
        optimizer: { learning_rate: 0.01, warmup_steps: 2 }
        validation: { every_steps: 4 }
        checkpoint: { every_steps: 3 }
        """;

    public PretrainingLoopTests()
        : base(RecipeText, "text")
    {
        Files.WriteText("text/a.txt", string.Concat(Enumerable.Range(0, 60).Select(i => string.Create(CultureInfo.InvariantCulture, $"The cat {i} sat on the mat and saw the moon. "))));
    }

    [Fact]
    public void Text_becomes_a_modelFiles_that_says_where_it_comes_from()
    {
        var (outcome, package) = Run("out");
        Assert.Equal(TrainingEnd.Completed, outcome.End);
        package!.Verify();
        Assert.Equal(280, package.LoadTokenizer().VocabSize);
        Assert.Equal("trainserve", package.LoadChatTemplate(package.LoadTokenizer()).Name);
        using (var weights = package.OpenWeights())
        {
            Assert.All(weights.ReadSingles(WeightNames.Embedding), value => Assert.True(float.IsFinite(value)));
        }
        var lineage = package.Manifest!.Lineage;
        Assert.Equal(("pretrain", "recipe", 3ul, 12), (lineage.Stage, lineage.RecipeName, lineage.Seed!.Value, lineage.Steps!.Value));
        Assert.Equal(12 * 4 * 12, lineage.Tokens);
        Assert.Equal("text", Assert.Single(lineage.Data).Name);
        Assert.Equal(outcome.State.Best.BestLoss!.Value, lineage.Results["validation_loss"]);
        Assert.InRange(lineage.Results["bits_per_byte/text"], 0.1, 8);
        Assert.Equal([package.LoadTokenizer().Special.EosId], GenerationConfig.Read(Path.Combine(package.Directory, "generation_config.json")).EosTokenId);
    }

    [Fact]
    public void The_model_has_the_weights_of_the_best_measurement()
    {
        var (outcome, package) = Run("out");
        using var best = SafeTensorsReader.Open(Files.PathOf("out", "best", string.Create(CultureInfo.InvariantCulture, $"step-{outcome.State.Best.BestStep:D8}"), "model.safetensors"));
        using var weights = package!.OpenWeights();
        Assert.Equal(best.ReadSingles(WeightNames.Embedding), weights.ReadSingles(WeightNames.Embedding));
    }

    [Fact]
    public void An_interrupted_run_goes_on_and_gives_the_same_model()
    {
        var (_, whole) = Run("whole");
        using var stop = new CancellationTokenSource();
        var (outcome, none) = Run("out", display: new StoppingDisplay(stop, 7), stop: stop.Token);
        Assert.Equal(TrainingEnd.Interrupted, outcome.End);
        Assert.Null(none);
        var (_, resumed) = Run("out", resume: true);
        Assert.Equal(File.ReadAllBytes(whole!.WeightsPath), File.ReadAllBytes(resumed!.WeightsPath));
        Assert.Equal(whole.Manifest!.File("tokenizer.json"), resumed.Manifest!.File("tokenizer.json"));
    }

    [Fact]
    public void A_finished_run_that_is_resumed_says_so_and_leaves_its_model_and_export_untouched()
    {
        var (_, first) = Run("out");
        string export = Files.WriteText("out/onnx/fp32/model.onnx", "a graph");
        (first!.Manifest! with { Files = [.. first.Manifest!.Files, ModelPackageWriter.Describe(first.Directory, export)] }).Write(first.ManifestPath);
        var manifest = File.ReadAllBytes(first.ManifestPath);
        var (outcome, again) = Run("out", resume: true);
        Assert.Equal((TrainingEnd.Completed, 12), (outcome.End, outcome.State.Step));
        Assert.Contains("The run is finished: it is at step 12 of 12.", Display.Notes);
        Assert.Equal(manifest, File.ReadAllBytes(again!.ManifestPath));
        Assert.Equal("a graph", File.ReadAllText(export));
    }

    [Fact]
    public void A_finished_run_whose_model_is_missing_or_damaged_gives_the_same_model_again()
    {
        var (_, first) = Run("out");
        var weights = File.ReadAllBytes(first!.WeightsPath);
        File.Delete(first.ManifestPath);
        Assert.Equal(weights, File.ReadAllBytes(Run("out", resume: true).Package!.WeightsPath));
        File.WriteAllBytes(first.WeightsPath, weights[..^1]);
        var (_, again) = Run("out", resume: true);
        again!.Verify();
        Assert.Equal(weights, File.ReadAllBytes(again.WeightsPath));
    }

    [Fact]
    public void A_run_that_stopped_before_its_first_checkpoint_begins_at_the_first_step()
    {
        RunLock.Take(Files.PathOf("out")).Dispose();
        var (outcome, _) = Run("out", resume: true);
        Assert.Equal(12, outcome.State.Step);
        Assert.Contains("There is no checkpoint yet, so training begins at the first step.", Display.Notes);
    }

    [Fact]
    public void Changed_text_is_refused_on_resume_with_the_files_name()
    {
        Interrupt();
        File.AppendAllText(Files.PathOf("text", "a.txt"), "One more.");
        Assert.Contains("a.txt is not what the run was begun with", Assert.Throws<RecipeException>(() => Run("out", resume: true)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("optimizer.learning_rate=0.02", "the recipe's optimizer.learning_rate was 0.01 and is now 0.02")]
    [InlineData("model.hidden_size=24", "the recipe's model.hidden_size was 16 and is now 24")]
    [InlineData("seed=4", "the recipe's seed was 3 and is now 4")]
    public void A_changed_recipe_is_refused_on_resume_with_the_key(string change, string message)
    {
        Interrupt();
        Assert.Contains(message, Assert.Throws<RecipeException>(() => Run("out", resume: true, overrides: [change])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void How_often_it_is_saved_may_change_on_resume()
    {
        Interrupt();
        Assert.Equal(12, Run("out", resume: true, overrides: ["checkpoint.every_steps=1"]).Outcome.State.Step);
    }

    [Fact]
    public void Packed_data_brings_its_tokenizer_and_another_one_is_refused()
    {
        var tokenizer = ByteTokenizer.Write(Files.PathOf("tokenizer"));
        new DataPacker(tokenizer, new PackOptions()).Pack([Files.PathOf("text")], Files.PathOf("tokenizer"), Files.PathOf("packed"));
        using var run = Prepare(Options("out") with { Data = [Files.PathOf("packed")] });
        var (_, package) = run.Run(CancellationToken.None);
        Assert.Equal(tokenizer.Sha256, package!.LoadTokenizer().Sha256);

        ByteTokenizer.Write(Files.PathOf("other"), [SpecialTokens.EndOfText, SpecialTokens.Pad]);
        var options = Options("second") with { Data = [Files.PathOf("packed")], Tokenizer = Files.PathOf("other") };
        Assert.Contains("was packed with another tokenizer", Assert.Throws<InvalidDataException>(() => Prepare(options).Dispose()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Training_goes_on_from_a_model_and_names_it_as_parent()
    {
        var (_, first) = Run("first");
        Files.WriteText("recipe.yaml", string.Join('\n', RecipeText.Split('\n').Where(line => !line.StartsWith("model:", StringComparison.Ordinal) && !line.StartsWith("tokenizer:", StringComparison.Ordinal))));
        using var run = Prepare(Options("out") with { Model = first!.Directory });
        var (outcome, package) = run.Run(CancellationToken.None);
        // The weights' hash and not the manifest's, which a later export changes.
        Assert.Equal(new ParentModel("first", FileHash.OfFile(first.WeightsPath)), package!.Manifest!.Lineage.Parent);
        Assert.True(outcome.State.Best.BestLoss < first.Manifest!.Lineage.Results["validation_loss"]);
    }

    [Fact]
    public void A_shape_is_needed_exactly_once()
    {
        TinyPackages.Write(Files.PathOf("model"));
        Assert.Contains("leave one out", Assert.Throws<RecipeException>(() => Prepare(Options("out") with { Model = Files.PathOf("model") })).Message, StringComparison.Ordinal);
        Files.WriteText("recipe.yaml", "training: { steps: 1 }\n");
        Assert.Contains("has no section model", Assert.Throws<RecipeException>(() => Prepare(Options("out"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Sources_are_mixed_by_weight_and_each_has_a_loss()
    {
        Files.WriteText("other/b.txt", string.Concat(Enumerable.Repeat("zyx wvu tsr qpo nml kji hgf edc ba. ", 40)));
        string sources = $"data:\n  sequence_length: 12\n  validation_rule: tail\n  validation_fraction: 0.2\n  sources:\n    - {{ path: '{Files.PathOf("text")}', weight: 3 }}\n    - {{ path: '{Files.PathOf("other")}', weight: 1, name: backwards }}";
        Files.WriteText("recipe.yaml", string.Join('\n', RecipeText.Split('\n').Select(line => line.StartsWith("data:", StringComparison.Ordinal) ? sources : line)));
        using var run = Prepare(Options("out") with { Data = [] });
        Assert.Equal([("text", 0.75), ("backwards", 0.25)], run.Plan.Sources.Select(source => (source.Name, source.Share)));
        var (outcome, _) = run.Run(CancellationToken.None);
        Assert.Equal([36, 12], outcome.State.Cursor.RowsBySource);
        var losses = outcome.State.BestLosses!;
        Assert.Equal(outcome.State.Best.BestLoss!.Value, 0.75 * losses["text"] + 0.25 * losses["backwards"], 1e-12);
    }

    [Fact]
    public void Text_that_is_too_little_for_the_vocabulary_makes_a_smaller_one_and_says_so()
    {
        using var run = Prepare(Options("out", overrides: ["tokenizer.vocab_size=2000"]));
        Assert.InRange(run.Plan.Model.VocabSize, 265, 1999);
        Assert.Contains(Display.Notes, note => note.StartsWith("The text has no more pairs that repeat", StringComparison.Ordinal));
    }

    [Fact]
    public void Two_sources_of_one_name_are_refused() => Assert.Contains("Two data sources are called text",
        Assert.Throws<RecipeException>(() => Prepare(Options("out") with { Data = [Files.PathOf("text"), Files.PathOf("text")] })).Message, StringComparison.Ordinal);

    [Fact]
    public void Too_little_text_for_a_row_is_refused_by_the_sources_name()
    {
        Files.WriteText("text/a.txt", "hi there");
        Assert.Contains("text has", Assert.Throws<InvalidDataException>(() => Prepare(Options("out", overrides: ["tokenizer.vocab_size=264"]))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_plan_counts_parameters_steps_and_tokens()
    {
        using var run = Prepare(Options("out", overrides: ["training.steps=null", "training.epochs=2"]));
        var plan = run.Plan;
        Assert.Equal(plan.Model.ParameterCount * 16, plan.Memory.WeightsBytes);
        Assert.Equal((long)Math.Ceiling(2.0 * plan.RowsPerEpoch / 4), plan.TotalSteps);
        Assert.Equal(plan.TotalSteps * 4 * 12, plan.TotalTokens);
        Assert.StartsWith("row 1: ", plan.Preview, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Files.PathOf("out", "checkpoints")));
    }

    [Fact]
    public void A_run_that_needs_more_memory_than_there_is_is_refused_with_what_to_lower()
    {
        using var run = Prepare(Options("out"));
        run.Plan.RequireMemory(run.Plan.Memory.TotalBytes);
        Assert.Contains("set training.micro_batch_rows below 2", Assert.Throws<RecipeException>(() => run.Plan.RequireMemory(run.Plan.Memory.TotalBytes - 1)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Bad_records_are_left_out_and_counted_when_the_recipe_says_so()
    {
        Files.WriteText("text/b.jsonl", "{\"text\": \"good\"}\n{\"txt\": 1}\n");
        Assert.Contains("b.jsonl:2", Assert.Throws<InvalidDataException>(() => Prepare(Options("out"))).Message, StringComparison.Ordinal);
        using var run = Prepare(Options("second", overrides: ["data.skip_bad_records=true"]));
        Assert.Contains(Display.Notes, note => note.EndsWith("; 1 records were left out.", StringComparison.Ordinal));
    }

    [Fact]
    public void An_outputFiles_with_a_run_or_a_model_is_left_alone()
    {
        Interrupt();
        Assert.Contains("add --resume", Assert.Throws<IOException>(() => Options("out").RequireUsableOutput()).Message, StringComparison.Ordinal);
        Run("done");
        Assert.Contains("already holds a model", Assert.Throws<IOException>(() => Options("done").RequireUsableOutput()).Message, StringComparison.Ordinal);
        Assert.Contains("holds no run", Assert.Throws<DirectoryNotFoundException>(() => Options("nothing", resume: true).RequireUsableOutput()).Message, StringComparison.Ordinal);
    }

    private void Interrupt()
    {
        using var stop = new CancellationTokenSource();
        Run("out", display: new StoppingDisplay(stop, 7), stop: stop.Token);
    }

    protected override ITrainingRun Begin(RunOptions options, ITrainingDisplay display) => PretrainingLoop.Prepare(options, Recipe<PretrainingRecipe>(options), Work(options), display, TimeProvider.System);
}
