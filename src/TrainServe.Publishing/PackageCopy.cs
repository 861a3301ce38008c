using TrainServe.Core.Packaging;

namespace TrainServe.Publishing;

/// <summary>A second directory of a model, so that an export can be made there and the model's own directory stays as it is.</summary>
public static class PackageCopy
{
    /// <summary>Copies everything but the exports; a copy of the same weights that is there already is used, with the exports that it has.</summary>
    /// <param name="directory">The model's.</param>
    /// <param name="output">The directory to make.</param>
    /// <param name="time">For the manifest.</param>
    /// <param name="bfloat16">Rounds the weights to bfloat16, half the size; what was evaluated before is not copied, because it was another model's.</param>
    /// <exception cref="InvalidDataException">A file of the model was changed.</exception>
    /// <exception cref="IOException">The other directory holds another model, or cannot be written.</exception>
    public static ModelPackage Make(string directory, string output, TimeProvider time, bool bfloat16 = false)
    {
        var package = ModelPackage.OpenVerified(directory);
        var manifest = package.Manifest!;
        if (Path.GetFullPath(Path.TrimEndingDirectorySeparator(output)) == package.Directory)
        {
            return bfloat16 ? throw new IOException($"{output} is the model itself, and its weights stay as they are; rounded ones need another directory.") : package;
        }
        if (File.Exists(Path.Combine(output, ModelManifest.FileName)) && ModelPackage.Open(output) is { } there && Weights(package) == (bfloat16 ? there.Manifest!.Lineage.RoundedFrom?.WeightsSha256 : Weights(there)))
        {
            return there;
        }
        using var writer = new ModelPackageWriter(output, time);
        foreach (var file in manifest.Files.Where(file => !file.Path.StartsWith(ModelPackage.OnnxDirectory(""), StringComparison.Ordinal)))
        {
            File.Copy(Path.Combine(package.Directory, file.Path), writer.PathOf(file.Path));
        }
        if (bfloat16)
        {
            Round(package, writer);
        }
        var copy = writer.Complete(bfloat16 ? manifest.Lineage with { RoundedFrom = new ParentModel(package.Name, Weights(package)) } : manifest.Lineage);
        (copy.Manifest! with { Created = manifest.Created, Evaluations = bfloat16 ? null : manifest.Evaluations }).Write(copy.ManifestPath);
        return ModelPackage.Open(copy.Directory);
    }

    private static void Round(ModelPackage package, ModelPackageWriter writer)
    {
        using var weights = package.OpenWeights();
        // A tensor is read when its turn to be written comes.
        var rounded = weights.Entries.OrderBy(entry => entry.Value.Offset).Select(entry => (Name: entry.Key, Shape: (long[])[.. entry.Value.Shape]))
            .Select(tensor => new SafeTensor(tensor.Name, SafeTensorType.BF16, tensor.Shape, stream => SafeTensor.BFloat16(tensor.Name, tensor.Shape, weights.ReadSingles(tensor.Name)).WriteTo(stream)));
        SafeTensorsWriter.Write(writer.PathOf(ModelPackage.WeightsFile), [.. rounded]);
        (package.Config with { TorchDtype = "bfloat16" }).Write(writer.PathOf(ModelPackage.ConfigFile));
    }

    private static string? Weights(ModelPackage package) => package.Manifest!.File(ModelPackage.WeightsFile)?.Sha256;
}
