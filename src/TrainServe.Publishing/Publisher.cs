using TorchSharp;
using TrainServe.Core.IO;
using TrainServe.Core.Packaging;
using TrainServe.Export;
using TrainServe.Inference.Execution;

namespace TrainServe.Publishing;

/// <summary>Turns trained weights into something that can be served: exports them, proves the export equal, and only then makes it part of the model.</summary>
public static class Publisher
{
    /// <summary>Largest absolute difference of logits between TorchSharp and ONNX Runtime in single precision.</summary>
    public const double Fp32Tolerance = 1e-4;

    /// <summary>Exports one precision into <c>onnx/PRECISION</c> of the model's directory and certifies it there.</summary>
    /// <exception cref="InvalidDataException">A file of the model was changed, or the export misses its proof; nothing is published and the model is as it was.</exception>
    /// <exception cref="IOException">The disk is full or failed.</exception>
    public static ParityCertificate Publish(string directory, ExportPrecision precision, TimeProvider time)
    {
        var package = ModelPackage.OpenVerified(directory);
        string staging = Path.Combine(package.Directory, "onnx", $".staging-{precision.Name}");
        DeleteIfThere(staging);
        try
        {
            using (var weights = package.OpenWeights())
            {
                OnnxExporter.Export(package.Config, weights, staging, precision);
            }
            var certificate = Certify(package, staging, precision, time);
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

    private static ParityCertificate Certify(ModelPackage package, string staging, ExportPrecision precision, TimeProvider time)
    {
        // TorchSharp's side ends before ONNX Runtime's begins: two thread pools that both spin slow each other down many times.
        var reference = TorchReference.Compute(package);
        using var runner = OnnxModelRunner.Open(Path.Combine(staging, OnnxExporter.GraphFile), package.Config, new RunnerOptions
        {
            Slots = ParityPrompts.Count,
            ContextLength = reference.Max(sequence => sequence.Ids.Length),
        });
        var check = new ParityCheck(runner, reference);
        double teacherForced = check.TeacherForced(), chunked = check.InChunks(), tokenByToken = check.TokenByToken(), batched = check.Batched();
        double noise = Math.Max(Math.Max(teacherForced, chunked), Math.Max(tokenByToken, batched));
        var (tokens, equal, nearTies) = check.Greedy(noise);
        return new ParityCertificate
        {
            Precision = precision.Name,
            Measured = time.GetUtcNow(),
            WeightsSha256 = package.Manifest!.File(ModelPackage.WeightsFile)!.Sha256,
            GraphSha256 = FileHash.OfFile(Path.Combine(staging, OnnxExporter.GraphFile)),
            DataSha256 = FileHash.OfFile(Path.Combine(staging, OnnxExporter.DataFile)),
            Tolerance = Fp32Tolerance,
            Positions = check.Positions,
            TeacherForcedError = teacherForced,
            ChunkedError = chunked,
            TokenByTokenError = tokenByToken,
            BatchedError = batched,
            GreedyPrompts = ParityPrompts.Count,
            GreedyTokens = tokens,
            GreedyEqual = equal,
            GreedyNearTies = nearTies,
            Runtimes = $"libtorch {torch.__version__}, ONNX Runtime {OnnxRuntimeLibrary.Version}",
        };
    }

    // The old export is taken out of the manifest before its files change, and the new one put in after they are whole: a crash in between leaves a model without export.
    private static void Adopt(ModelPackage package, string staging, ExportPrecision precision, ParityCertificate certificate)
    {
        string folder = ModelPackage.OnnxDirectory(precision.Name), destination = Path.Combine(package.Directory, folder);
        var manifest = package.Manifest!;
        var without = manifest with
        {
            Files = [.. manifest.Files.Where(file => !file.Path.StartsWith(folder + "/", StringComparison.Ordinal))],
            Certificates = [.. manifest.Certificates.Where(other => other.Precision != precision.Name)],
        };
        without.Write(package.ManifestPath);
        DeleteIfThere(destination);
        DurableFile.MoveDirectory(staging, destination);
        var added = Directory.EnumerateFiles(destination).Order(StringComparer.Ordinal).Select(path => ModelPackageWriter.Describe(package.Directory, path));
        (without with { Files = [.. without.Files, .. added], Certificates = [.. without.Certificates, certificate] }).Write(package.ManifestPath);
    }

    private static void DeleteIfThere(string directory)
    {
        if (Directory.Exists(directory))
        {
            Directory.Delete(directory, recursive: true);
        }
    }
}
