using TrainServe.Core.IO;
using TrainServe.Core.Packaging;

namespace TrainServe.Training.Checkpointing;

/// <summary>What decides a run's numbers; a checkpoint of another identity is not continued.</summary>
/// <param name="Stage">pretrain, sft...</param>
/// <param name="Recipe">The recipe's keys and values; see <see cref="Recipes.RecipeIdentity"/>.</param>
/// <param name="TokenizerSha256">Of tokenizer.json.</param>
/// <param name="Data">Hash of each source's content, by its name.</param>
/// <param name="ParentSha256">Hash of the weights that training began from; null for a new model.</param>
public sealed record RunIdentity(string Stage, IReadOnlyDictionary<string, string> Recipe, string TokenizerSha256, IReadOnlyDictionary<string, string> Data, string? ParentSha256 = null)
{
    /// <summary>The first thing that differs, as the end of a sentence; null when nothing does.</summary>
    public string? Difference(RunIdentity now) =>
        Stage != now.Stage ? $"the stage was {Stage} and is now {now.Stage}"
        : Recipes.RecipeIdentity.Difference(Recipe, now.Recipe) is { } key ? $"the recipe's {key}"
        : TokenizerSha256 != now.TokenizerSha256 ? $"the tokenizer's hash was {TokenizerSha256} and is now {now.TokenizerSha256}"
        : ParentSha256 != now.ParentSha256 ? $"the weights to begin from had the hash {ParentSha256 ?? "none"} and now have {now.ParentSha256 ?? "none"}"
        : Recipes.RecipeIdentity.Difference(Data, now.Data) is { } source ? $"the content of the data source {source}"
        : null;
}

/// <summary><c>manifest.json</c> of a checkpoint: what it holds, byte for byte. A directory without it is no checkpoint.</summary>
public sealed record CheckpointManifest
{
    public const string FileName = "manifest.json";
    public const int CurrentSchemaVersion = 1;

    public int SchemaVersion { get; init; } = CurrentSchemaVersion;

    /// <summary>Optimizer steps that were done.</summary>
    public required long Step { get; init; }
    public required RunIdentity Identity { get; init; }

    /// <summary>Hash of the recipe's keys and values.</summary>
    public required string RecipeSha256 { get; init; }
    public required TrainingEnvironment Environment { get; init; }
    public required IReadOnlyList<ManifestFile> Files { get; init; }

    /// <summary>SHA-256 of each tensor, by file and name.</summary>
    public required IReadOnlyDictionary<string, IReadOnlyDictionary<string, string>> Tensors { get; init; }

    public void Write(string path) => JsonFile.Write(path, this, JsonFile.SnakeCase);
}
