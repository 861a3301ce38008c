using TrainServe.Core.Packaging;
using TrainServe.Export;
using TrainServe.Inference.Execution;
using TrainServe.Publishing.Calibration;

namespace TrainServe.Publishing;

/// <summary>An export of few bits: scales measured on text, equality with itself in every way of running it, and what the rounding costs.</summary>
internal static class RoundedExport
{
    /// <summary>Largest difference of logits between two ways of running the same graph. With an eight-bit cache it is 0 here; a processor whose kernels round otherwise for several rows than for one may show some.</summary>
    public const double Tolerance = 0.5;

    private const int SampledTogether = 16;

    public static ParityCertificate Make(ModelPackage package, string staging, ExportPrecision precision, PublishingOptions options, TimeProvider time)
    {
        var reference = TorchReference.Compute(package);
        int context = Math.Min(package.Config.MaxPositionEmbeddings, Math.Max(CalibrationText.LongestSequence, reference.Max(sequence => sequence.Ids.Length)));
        using var single = Open(package, package.OnnxModelPath(ExportPrecision.Fp32.Name), SampledTogether, context);
        var text = options.HeldOutPath is { } path ? CalibrationText.FromFile(package, path) : CalibrationText.FromSamples(package, single);
        var scales = CacheCalibration.Measure(single, package.Config.NumHiddenLayers, text.Calibration);
        using (var weights = package.OpenWeights())
        {
            OnnxExporter.Export(package.Config, weights, staging, precision, scales);
        }
        using var rounded = Open(package, Path.Combine(staging, OnnxExporter.GraphFile), ParityPrompts.Count, context);
        double teacherForced = new ParityCheck(rounded, reference).TeacherForced();
        var check = new ParityCheck(rounded, OwnReference.Compute(rounded, reference));
        var certificate = ParityMeasurement.Certificate(package, staging, precision, check, teacherForced, Tolerance, time);
        return certificate with { Cost = new CostMeasurement(single, rounded).Measure(text, options.MaxPerplexityIncrease ?? precision.MaxPerplexityIncrease) };
    }

    private static OnnxModelRunner Open(ModelPackage package, string graph, int slots, int context) =>
        OnnxModelRunner.Open(graph, package.Config, new RunnerOptions { Slots = slots, ContextLength = context });
}
