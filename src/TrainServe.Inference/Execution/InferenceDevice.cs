using System.Globalization;
using Microsoft.ML.OnnxRuntime;

namespace TrainServe.Inference.Execution;

/// <summary>What computes a graph: the processor, or one NVIDIA GPU.</summary>
/// <param name="CudaIndex">The GPU's number; null for the processor.</param>
public sealed record InferenceDevice(int? CudaIndex)
{
    /// <summary>A GPU where this build and this machine have one, the processor otherwise.</summary>
    public const string Auto = "auto";

    /// <summary>The processor.</summary>
    public static InferenceDevice Cpu { get; } = new((int?)null);

    public bool IsCuda => CudaIndex is not null;

    /// <param name="name">auto, cpu, cuda, or cuda:N. auto is the first GPU where this build and this machine have one that works, the processor otherwise.</param>
    /// <param name="withoutGpu">With auto on the processor: why, where this build could use a GPU.</param>
    /// <exception cref="ArgumentException">There is no such kind of device.</exception>
    /// <exception cref="InvalidDataException">The GPU cannot be used; the message says why.</exception>
    public static InferenceDevice Open(string name, out string? withoutGpu)
    {
        withoutGpu = null;
        var (kind, index) = Parse(name);
        if (kind == "cpu")
        {
            return Cpu;
        }
        var device = new InferenceDevice(index ?? 0);
        OnnxRuntimeLibrary.Load();
        bool isBuiltFor = OrtEnv.Instance().GetAvailableProviders().Contains("CUDAExecutionProvider", StringComparer.Ordinal);
        string? reason = isBuiltFor ? device.Unusable() : "this build computes on the processor; build it with -p:Accelerator=cuda for an NVIDIA GPU";
        if (reason is null)
        {
            return device;
        }
        if (kind == Auto)
        {
            withoutGpu = isBuiltFor ? reason : null;
            return Cpu;
        }
        throw new InvalidDataException($"Device {name}: {reason}, or choose auto or cpu.");
    }

    /// <exception cref="ArgumentException">There is no such kind of device.</exception>
    public static (string Kind, int? Index) Parse(string name)
    {
        string[] parts = name.Split(':');
        if (parts is [Auto or "cpu" or "cuda"])
        {
            return (parts[0], null);
        }
        return parts is ["cuda", _] && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int index) ? ("cuda", index)
            : throw new ArgumentException($"The device is {name}; it must be auto, cpu, cuda or cuda:N.", nameof(name));
    }

    public override string ToString() => CudaIndex is { } index ? string.Create(CultureInfo.InvariantCulture, $"cuda:{index}") : "cpu";

    /// <summary>Makes a session compute here. The processor needs no such step.</summary>
    /// <exception cref="OnnxRuntimeException">A library of CUDA is missing or of another version.</exception>
    internal void AppendTo(SessionOptions options)
    {
        if (CudaIndex is not { } index)
        {
            return;
        }
        using var provider = new OrtCUDAProviderOptions();
        provider.UpdateOptions(new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["device_id"] = index.ToString(CultureInfo.InvariantCulture),
            // The arena would double itself, and the cache is the larger part of the memory by far.
            ["arena_extend_strategy"] = "kSameAsRequested",
        });
        options.AppendExecutionProvider_CUDA(provider);
        options.AddSessionConfigEntry("session.use_device_allocator_for_initializers", "1");
    }

    private string? Unusable()
    {
        if (CudaDriver.Load(out string? reason) is not { } driver)
        {
            return reason;
        }
        if (CudaIndex >= driver.Devices)
        {
            return driver.Devices == 0 ? "no NVIDIA GPU is to be seen here; nvidia-smi says why" : string.Create(CultureInfo.InvariantCulture, $"the last of the GPUs here is cuda:{driver.Devices - 1}");
        }
        try
        {
            using var options = new SessionOptions();
            AppendTo(options);
            return null;
        }
        catch (OnnxRuntimeException error)
        {
            return $"ONNX Runtime cannot use it, deploy/GPU.md says what it needs ({error.Message.Trim()})";
        }
    }
}
