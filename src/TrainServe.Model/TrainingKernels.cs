using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using TorchSharp;
using TrainServe.Core;
using TrainServe.Model.Kernels;

namespace TrainServe.Model;

/// <summary>In what numbers the blocks compute while they are trained; weights and sums are always single precision.</summary>
public enum TrainingPrecision
{
    /// <summary>bfloat16 where the processor multiplies it faster, else single precision.</summary>
    Auto,

    /// <summary>Single precision throughout.</summary>
    Float32,

    /// <summary>Matrices and activations in bfloat16.</summary>
    Bfloat16,

    /// <summary>Single precision whose products a GPU rounds to 10 bits, which its tensor cores do faster.</summary>
    Tf32,
}

/// <summary>Which implementation of forward and backward a model uses; chosen once, before training.</summary>
/// <param name="IsFast">Blocks, last norm and loss by the kernels. Otherwise libtorch's operators.</param>
/// <param name="Name">For the run's header and its checkpoints.</param>
/// <param name="Reason">Why it is not the fast one; null when it is, or was not wanted.</param>
public sealed record TrainingKernels(bool IsFast, string Name, string? Reason)
{
    /// <summary>libtorch's operators.</summary>
    public static TrainingKernels Plain { get; } = new(false, "torch float32", null);

    /// <summary>libtorch's operators on any device, with matrices and activations in bfloat16 over single-precision weights.</summary>
    public static TrainingKernels PlainBFloat16 { get; } = new(false, "torch bfloat16", null) { Matrices = torch.ScalarType.BFloat16 };

    /// <summary>What is multiplied; weights, streams and sums are single precision.</summary>
    public torch.ScalarType Matrices { get; private init; } = torch.ScalarType.Float32;

    /// <summary>The fast ones where processor and model allow them.</summary>
    /// <param name="precision">What the user wants.</param>
    /// <param name="model">Its shape decides too.</param>
    /// <remarks>On a GPU they are libtorch's own, in bfloat16 unless told otherwise; and libtorch is told whether single precision may be rounded.</remarks>
    /// <exception cref="InvalidDataException">bfloat16 is wanted and cannot be had; the message says why.</exception>
    public static TrainingKernels Choose(TrainingPrecision precision, Transformer model)
    {
        bool isGpu = model.Device.type == DeviceType.CUDA;
        if (precision == TrainingPrecision.Tf32 && !isGpu)
        {
            throw new InvalidDataException("training.precision is tf32, which only a GPU has; set it to auto or float32, or give --device cuda.");
        }
        if (isGpu)
        {
            torch.backends.cuda.matmul.allow_tf32 = precision == TrainingPrecision.Tf32;
            var chosen = precision is TrainingPrecision.Float32 or TrainingPrecision.Tf32 ? Plain : PlainBFloat16;
            return chosen with { Name = precision == TrainingPrecision.Tf32 ? "torch cuda tf32" : chosen.Name.Replace("torch", "torch cuda", StringComparison.Ordinal) };
        }
        bool narrows = precision == TrainingPrecision.Bfloat16 || (precision == TrainingPrecision.Auto && MultipliesBFloat16());
        string? reason = Obstacle(model.Config, model);
        return reason is not null
            ? precision == TrainingPrecision.Bfloat16 ? throw new InvalidDataException($"bfloat16 training is not possible here: {reason}. Set training.precision to auto or float32.") : Plain with { Reason = reason }
            : narrows ? new TrainingKernels(true, "avx512 bfloat16", null) { Matrices = torch.ScalarType.BFloat16 }
            : new TrainingKernels(true, $"avx512 float32 by {MatrixProduct.SinglePrecision}", null);
    }

    private static string? Obstacle(ModelConfig config, Transformer model) =>
        model.Device.type != DeviceType.CPU ? "the kernels are for the CPU"
        : !OperatingSystem.IsLinux() && !OperatingSystem.IsWindows() ? "the kernels need an x64 processor"
        : !Lanes.IsSupported ? "the processor lacks AVX-512"
        : model.Dtype != torch.ScalarType.Float32 ? "the weights are not float32"
        : config.HiddenSize % Lanes.Count != 0 || config.IntermediateSize % Lanes.Count != 0 || config.HeadDim % Lanes.Count != 0
            ? $"hidden_size, intermediate_size and head_dim are not all multiples of {Lanes.Count}"
        : config.AttentionDropout > 0 ? "attention_dropout is above 0"
        : null;

    // Leaf 7, sub-leaf 1, bit 5 of EAX.
    private static bool MultipliesBFloat16() => RuntimeInformation.ProcessArchitecture == Architecture.X64 && X86Base.CpuId(7, 0).Eax >= 1 && (X86Base.CpuId(7, 1).Eax & (1 << 5)) != 0;
}
