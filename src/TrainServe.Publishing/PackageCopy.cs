using TrainServe.Core.Packaging;

namespace TrainServe.Publishing;

/// <summary>A second directory of a model, so that an export can be made there and the model's own directory stays as it is.</summary>
public static class PackageCopy
{
    /// <summary>Copies everything but the exports; a copy of the same weights that is there already is used, with the exports that it has.</summary>
    /// <param name="directory">The model's.</param>
    /// <param name="output">The directory to make.</param>
    /// <param name="time">For the manifest.</param>
    /// <exception cref="InvalidDataException">A file of the model was changed.</exception>
    /// <exception cref="IOException">The other directory holds another model, or cannot be written.</exception>
    public static ModelPackage Make(string directory, string output, TimeProvider time)
    {
        var package = ModelPackage.OpenVerified(directory);
        var manifest = package.Manifest!;
        if (Path.GetFullPath(Path.TrimEndingDirectorySeparator(output)) == package.Directory)
        {
            return package;
        }
        if (File.Exists(Path.Combine(output, ModelManifest.FileName)) && ModelPackage.Open(output) is { } there && Weights(there) == Weights(package))
        {
            return there;
        }
        using var writer = new ModelPackageWriter(output, time);
        foreach (var file in manifest.Files.Where(file => !file.Path.StartsWith(ModelPackage.OnnxDirectory(""), StringComparison.Ordinal)))
        {
            File.Copy(Path.Combine(package.Directory, file.Path), writer.PathOf(file.Path));
        }
        var copy = writer.Complete(manifest.Lineage);
        (copy.Manifest! with { Created = manifest.Created, Evaluations = manifest.Evaluations }).Write(copy.ManifestPath);
        return ModelPackage.Open(copy.Directory);
    }

    private static string? Weights(ModelPackage package) => package.Manifest!.File(ModelPackage.WeightsFile)?.Sha256;
}
