using TorchSharp;
using TrainServe.Core.Packaging;
using TrainServe.Export;
using TrainServe.Inference.Execution;

namespace TrainServe.Publishing;

/// <summary>Runs every comparison of a check and writes down what came out.</summary>
internal static class ParityMeasurement
{
    public static ParityCertificate Certificate(ModelPackage package, string staging, ExportPrecision precision, ParityCheck check, double teacherForced, double tolerance, TimeProvider time)
    {
        double chunked = check.InChunks(), tokenByToken = check.TokenByToken(), batched = check.Batched();
        double noise = Math.Max(Math.Max(precision.Rounds ? 0 : teacherForced, chunked), Math.Max(tokenByToken, batched));
        var (tokens, equal, nearTies) = package.Config.IsRewardModel ? Ordered(check, noise) : check.Greedy(noise);
        return new ParityCertificate
        {
            Precision = precision.Name,
            Measured = time.GetUtcNow(),
            WeightsSha256 = package.Manifest!.File(ModelPackage.WeightsFile)!.Sha256,
            GraphSha256 = FileHash.OfFile(Path.Combine(staging, OnnxExporter.GraphFile)),
            DataSha256 = FileHash.OfFile(Path.Combine(staging, OnnxExporter.DataFile)),
            Tolerance = tolerance,
            Positions = check.Positions,
            TeacherForcedError = teacherForced,
            ChunkedError = chunked,
            TokenByTokenError = tokenByToken,
            BatchedError = batched,
            GreedyPrompts = ParityPrompts.Count,
            GreedyTokens = tokens,
            GreedyEqual = equal,
            GreedyNearTies = nearTies,
            IsOrderOfScores = package.Config.IsRewardModel,
            Runtimes = $"libtorch {torch.__version__}, ONNX Runtime {OnnxRuntimeLibrary.Version}",
        };
    }

    private static (int Tokens, int Equal, int NearTies) Ordered(ParityCheck check, double noise)
    {
        var (equal, nearTies) = check.Order(noise);
        return (1, equal, nearTies);
    }
}
