using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Training.Checkpointing;
using TrainServe.Training.Distributed;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.Loops;

/// <summary>What the user asked a run to do, beside the recipe.</summary>
public sealed record RunOptions
{
    public required string RecipePath { get; init; }

    /// <summary>Each <c>section.key=value</c>.</summary>
    public IReadOnlyList<string> Overrides { get; init; } = [];

    /// <summary>Replaces the recipe's data.sources; each may be <c>name=path</c>.</summary>
    public IReadOnlyList<string> Data { get; init; } = [];

    /// <summary>A model directory to begin from.</summary>
    public string? Model { get; init; }

    /// <summary>A reward model's directory.</summary>
    public string? RewardModel { get; init; }

    /// <summary>A tokenizer's directory.</summary>
    public string? Tokenizer { get; init; }

    /// <summary>The directory of the run, and at its end of the model.</summary>
    public required string Output { get; init; }

    /// <summary>Go on from the newest checkpoint.</summary>
    public bool Resume { get; init; }

    /// <summary>The processes that train together; of the others' files only the first writes any.</summary>
    public IProcessGroup Processes { get; init; } = SingleProcess.Instance;

    /// <summary>A line that says how they work together, where there is something to say.</summary>
    public string? ProcessesNote { get; init; }

    /// <summary>Where the models live; the processor when null.</summary>
    public TorchSharp.torch.Device? Device { get; init; }

    /// <summary>Whether the output directory holds a checkpoint or a model to go on from.</summary>
    public bool HoldsProgress => RunLock.Exists(Output) && (Checkpoints.Steps.Count > 0 || File.Exists(Path.Combine(Output, ModelManifest.FileName)));

    private CheckpointStore Checkpoints => new(Path.Combine(Output, RunCheckpoints.CheckpointsDirectory));

    /// <summary>Name of the recipe for the lineage.</summary>
    public string RecipeName => Path.GetFileNameWithoutExtension(RecipePath);

    /// <summary>The sources that count.</summary>
    /// <exception cref="RecipeException">Neither the options nor the recipe name one, or two have one name.</exception>
    public IReadOnlyList<DataSourceSection> Sources(IReadOnlyList<DataSourceSection> fromRecipe)
    {
        var sources = Data.Count > 0 ? [.. Data.Select(Parse)] : fromRecipe;
        if (sources.Count == 0)
        {
            throw new RecipeException($"{RecipePath} names no data.sources; give --data PATH.");
        }
        sources = [.. sources.Select(source => source with { Name = source.Name ?? NameOf(source.Path) })];
        return sources.GroupBy(source => source.Name, StringComparer.Ordinal).FirstOrDefault(group => group.Count() > 1) is { } twice
            ? throw new RecipeException($"Two data sources are called {twice.Key}; name them: --data one=PATH, or data.sources.N.name in the recipe.")
            : sources;
    }

    /// <summary>Refuses to write over a model or a run, and to resume where there is none.</summary>
    /// <exception cref="IOException">The directory holds a model or a run, or, to be resumed, no run.</exception>
    public void RequireUsableOutput()
    {
        bool holdsRun = RunLock.Exists(Output);
        if (Resume)
        {
            if (!holdsRun)
            {
                throw new DirectoryNotFoundException($"{Output} holds no run that could be resumed; leave --resume out to begin one.");
            }
            return;
        }
        ModelPackageWriter.RequireFree(Output);
        if (Checkpoints.Steps.Count > 0)
        {
            throw new IOException($"{Output} already holds a run; add --resume to go on with it, or choose another output directory.");
        }
    }

    /// <summary>The model to begin from; checked byte for byte where it has a manifest. Null when there is none.</summary>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    public ModelPackage? OpenModel() => Model is null ? null : ModelPackage.OpenCheckedIfListed(Model);

    /// <summary>The reward model, likewise.</summary>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    public ModelPackage? OpenRewardModel() => RewardModel is null ? null : ModelPackage.OpenCheckedIfListed(RewardModel);

    /// <summary>The line of a lineage that names the model to begin from.</summary>
    public static ParentModel ParentOf(ModelPackage package) => new(package.Name, FileHash.OfFile(package.WeightsPath));

    private static DataSourceSection Parse(string argument)
    {
        int equals = argument.IndexOf('=', StringComparison.Ordinal);
        bool isNamed = equals > 0 && !File.Exists(argument) && !Directory.Exists(argument);
        return isNamed ? new DataSourceSection { Name = argument[..equals], Path = argument[(equals + 1)..] } : new DataSourceSection { Path = argument };
    }

    private static string NameOf(string path)
    {
        string name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)));
        foreach (string extension in (ReadOnlySpan<string>)[".gz", ".txt", ".jsonl", ".json"])
        {
            name = name.EndsWith(extension, StringComparison.OrdinalIgnoreCase) && name.Length > extension.Length ? name[..^extension.Length] : name;
        }
        return name;
    }
}
