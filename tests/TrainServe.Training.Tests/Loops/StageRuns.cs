using System.Text.Json;
using TrainServe.Core.Packaging;
using TrainServe.TestSupport;
using TrainServe.Training.Loops;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.Tests.Loops;

/// <summary>Runs of a stage in a directory of their own.</summary>
public abstract class StageRuns : IDisposable
{
    private readonly string _data;
    private readonly string? _model, _reward;

    /// <param name="recipe">Of all runs.</param>
    /// <param name="data">The file or directory that they learn from.</param>
    /// <param name="model">The model's directory; null where none is begun from.</param>
    /// <param name="reward">The reward model's.</param>
    protected StageRuns(string recipe, string data, string? model = null, string? reward = null)
    {
        (_data, _model, _reward) = (data, model, reward);
        Files.WriteText("recipe.yaml", recipe);
    }

    protected TemporaryDirectory Files { get; } = new();
    private protected RecordingDisplay Display { get; } = new();

    public void Dispose()
    {
        Files.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Makes a run ready.</summary>
    protected abstract ITrainingRun Begin(RunOptions options, ITrainingDisplay display);

    protected ITrainingRun Prepare(RunOptions options, ITrainingDisplay? display = null) => Begin(options, display ?? Display);

    protected (TrainingOutcome Outcome, ModelPackage? Package) Run(string output, bool resume = false, ITrainingDisplay? display = null, string[]? overrides = null, CancellationToken stop = default)
    {
        using var run = Prepare(Options(output, resume, overrides), display);
        return run.Run(stop);
    }

    protected RunOptions Options(string output, bool resume = false, string[]? overrides = null) => new()
    {
        RecipePath = Files.PathOf("recipe.yaml"),
        Overrides = overrides ?? [],
        Data = [Files.PathOf(_data)],
        Model = _model is null ? null : Files.PathOf(_model),
        RewardModel = _reward is null ? null : Files.PathOf(_reward),
        Output = Files.PathOf(output),
        Resume = resume,
    };

    /// <summary>The steps of a run, as its log has them.</summary>
    protected List<JsonElement> Metrics(string output) =>
        [.. File.ReadLines(Files.PathOf(output, "metrics.jsonl")).Select(line => JsonDocument.Parse(line).RootElement).Where(line => line.GetProperty("event").GetString() == "train")];

    protected static T Recipe<T>(RunOptions options)
        where T : class, IRecipeSection => RecipeFile.Read<T>(options.RecipePath, options.Overrides);

    /// <summary>Where a run keeps what it prepares.</summary>
    protected static string Work(RunOptions options) => Path.Combine(options.Output, "prepared");
}
