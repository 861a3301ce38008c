using TrainServe.Core.Packaging;
using TrainServe.Export;
using TrainServe.Inference.Execution;

namespace TrainServe.Publishing;

/// <summary>An export in single precision, which must give TorchSharp's own logits.</summary>
internal static class SingleExport
{
    /// <summary>Largest absolute difference of logits between TorchSharp and ONNX Runtime.</summary>
    public const double Tolerance = 1e-4;

    public static ParityCertificate Make(ModelPackage package, string staging, TimeProvider time)
    {
        using (var weights = package.OpenWeights())
        {
            OnnxExporter.Export(package.Config, weights, staging, ExportPrecision.Fp32);
        }
        // TorchSharp's side ends before ONNX Runtime's begins: two thread pools that both spin slow each other down many times.
        var reference = TorchReference.Compute(package);
        using var runner = OnnxModelRunner.Open(Path.Combine(staging, OnnxExporter.GraphFile), package.Config, new RunnerOptions
        {
            Slots = ParityPrompts.Count,
            ContextLength = reference.Max(sequence => sequence.Ids.Length),
        });
        var check = new ParityCheck(runner, reference);
        return ParityMeasurement.Certificate(package, staging, ExportPrecision.Fp32, check, check.TeacherForced(), Tolerance, time);
    }
}
