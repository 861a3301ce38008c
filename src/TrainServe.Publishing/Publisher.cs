using TrainServe.Core.IO;
using TrainServe.Core.Packaging;
using TrainServe.Export;

namespace TrainServe.Publishing;

/// <summary>Turns trained weights into something that can be served: exports them, proves the export equal or states its cost, and only then makes it part of the model.</summary>
public static class Publisher
{
    /// <summary>Exports one precision into <c>onnx/PRECISION</c> of the model's directory and certifies it there.</summary>
    /// <remarks>A precision of few bits is compared with the export in single precision, which is published first where the model has none.</remarks>
    /// <exception cref="ArgumentException">An option breaks its rule.</exception>
    /// <exception cref="InvalidDataException">A file of the model was changed, or the export misses its proof; nothing is published and the model is as it was.</exception>
    /// <exception cref="IOException">The disk is full or failed.</exception>
    public static ParityCertificate Publish(string directory, ExportPrecision precision, TimeProvider time, PublishingOptions? options = null)
    {
        options = (options ?? new PublishingOptions()).Validated();
        var package = ModelPackage.OpenVerified(directory);
        if (precision.Rounds && package.Config.IsRewardModel)
        {
            throw new InvalidDataException($"{package.Directory} is a reward model; those are exported in {ExportPrecision.Fp32} only, since nothing says what fewer bits cost a score.");
        }
        if (precision.Rounds && !HasSingle(package))
        {
            Publish(directory, ExportPrecision.Fp32, time);
            package = ModelPackage.OpenVerified(directory);
        }
        string staging = Path.Combine(package.Directory, "onnx", $".staging-{precision.Name}");
        DeleteIfThere(staging);
        try
        {
            var certificate = precision.Rounds ? RoundedExport.Make(package, staging, precision, options, time) : SingleExport.Make(package, staging, time);
            if (certificate.Failure() is { } failure)
            {
                throw new InvalidDataException($"{package.Directory}: the {precision.Name} export is not published: {failure}.");
            }
            Adopt(package, staging, precision, certificate);
            return certificate;
        }
        finally
        {
            DeleteIfThere(staging);
        }
    }

    /// <summary>Takes an export out of a model, such as the single precision that one of fewer bits was compared with.</summary>
    /// <exception cref="IOException">The directory cannot be written.</exception>
    public static void Withdraw(string directory, ExportPrecision precision)
    {
        var package = ModelPackage.Open(directory);
        Without(package.Manifest!, precision).Write(package.ManifestPath);
        DeleteIfThere(Path.Combine(package.Directory, ModelPackage.OnnxDirectory(precision.Name)));
    }

    private static bool HasSingle(ModelPackage package)
    {
        string name = ExportPrecision.Fp32.Name;
        if (package.Manifest!.Certificate(name) is null)
        {
            return false;
        }
        package.RequireCertificate(name);
        return true;
    }

    // The old export is taken out of the manifest before its files change, and the new one put in after they are whole: a crash in between leaves a model without export.
    private static void Adopt(ModelPackage package, string staging, ExportPrecision precision, ParityCertificate certificate)
    {
        string folder = ModelPackage.OnnxDirectory(precision.Name), destination = Path.Combine(package.Directory, folder);
        var without = Without(package.Manifest!, precision);
        without.Write(package.ManifestPath);
        DeleteIfThere(destination);
        DurableFile.MoveDirectory(staging, destination);
        var added = Directory.EnumerateFiles(destination).Order(StringComparer.Ordinal).Select(path => ModelPackageWriter.Describe(package.Directory, path));
        (without with { Files = [.. without.Files, .. added], Certificates = [.. without.Certificates, certificate] }).Write(package.ManifestPath);
    }

    private static ModelManifest Without(ModelManifest manifest, ExportPrecision precision) => manifest with
    {
        Files = [.. manifest.Files.Where(file => !file.Path.StartsWith(ModelPackage.OnnxDirectory(precision.Name) + "/", StringComparison.Ordinal))],
        Certificates = [.. manifest.Certificates.Where(other => other.Precision != precision.Name)],
    };

    private static void DeleteIfThere(string directory)
    {
        if (Directory.Exists(directory))
        {
            Directory.Delete(directory, recursive: true);
        }
    }
}
