using TrainServe.Core;
using TrainServe.Core.Packaging;

namespace TrainServe.Cli.Generation;

/// <summary>The model that is meant where a user names none.</summary>
internal static class OnlyModel
{
    /// <summary>The one model of a directory that has an export.</summary>
    /// <exception cref="RecipeException">There is none, or several; the message says how to name one.</exception>
    public static string Of(string models)
    {
        string[] found = Directory.Exists(models)
            ? [.. Directory.EnumerateDirectories(models).Where(directory => File.Exists(Path.Combine(directory, ModelManifest.FileName)) && ModelPackage.Open(directory).Precisions.Any()).Order(StringComparer.Ordinal)]
            : [];
        return found switch
        {
            [var only] => only,
            [] => throw new RecipeException($"No model is named, and {models} holds none with an export; name one with --model DIR."),
            _ => throw new RecipeException($"No model is named, and {models} holds several; name one with --model: {string.Join(", ", found)}."),
        };
    }
}
