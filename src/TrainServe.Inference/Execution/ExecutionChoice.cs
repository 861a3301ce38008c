using TrainServe.Core.Packaging;

namespace TrainServe.Inference.Execution;

/// <summary>Which of a model's exports to run, and where. A GPU computes in half precision; the processor has no use for that.</summary>
/// <param name="Precision">Of the export.</param>
/// <param name="Device">What computes.</param>
/// <param name="Note">Why it is the processor, where a GPU might have been expected.</param>
public sealed record ExecutionChoice(string Precision, InferenceDevice Device, string? Note = null)
{
    private const string ForGpu = "fp16";

    /// <param name="package">The model.</param>
    /// <param name="precision">auto, or one of its exports.</param>
    /// <param name="device">auto, cpu, cuda or cuda:N. auto falls back to the processor, and the note says why; a device that is named does not.</param>
    /// <exception cref="ArgumentException">There is no such kind of device.</exception>
    /// <exception cref="InvalidDataException">The device cannot be used, or the model has no export for it; the message says what to do.</exception>
    public static ExecutionChoice Of(ModelPackage package, string precision, string device) =>
        Of(package, precision, InferenceDevice.Open(device, out string? withoutGpu), isNamed: device != InferenceDevice.Auto, withoutGpu);

    internal static ExecutionChoice Of(ModelPackage package, string precision, InferenceDevice device, bool isNamed, string? withoutGpu)
    {
        if (!device.IsCuda)
        {
            return OnProcessor(withoutGpu);
        }
        if (package.Config.IsRewardModel)
        {
            return OnProcessor("reward models are exported in single precision only, which no GPU's attention kernel computes");
        }
        bool hasExport = package.Precisions.Contains(ForGpu, StringComparer.Ordinal);
        string cure = $"a GPU computes in {ForGpu}; make that export with: trainserve export --model {package.Directory} --precision {ForGpu}";
        return (precision, hasExport, isNamed) switch
        {
            (PrecisionChoice.Auto or ForGpu, true, _) => new ExecutionChoice(ForGpu, device),
            (PrecisionChoice.Auto or ForGpu, false, true) => throw new InvalidDataException($"{package.Directory} cannot run on {device}: {cure}"),
            (_, _, true) => throw new InvalidDataException($"{package.Directory} cannot run on {device} in {precision}: a GPU computes in {ForGpu}; choose that precision, or the device cpu."),
            (PrecisionChoice.Auto, _, _) => OnProcessor(cure),
            _ => OnProcessor($"{precision} was asked for, and a GPU computes in {ForGpu}"),
        };

        ExecutionChoice OnProcessor(string? note) => new(PrecisionChoice.Of(package, precision), InferenceDevice.Cpu, note);
    }
}
