using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using TrainServe.Core.Packaging;
using TrainServe.Model;

namespace TrainServe.Training.Checkpointing;

/// <summary>What a run's last bits depend on beside recipe and data. A run that is resumed under the same environment continues bit for bit.</summary>
/// <param name="Build">Version of this program with its commit.</param>
/// <param name="Libtorch">Version of the library that computes.</param>
/// <param name="Threads">Threads of one operation: sums are divided among them.</param>
/// <param name="Processor">Architecture and vector instructions, which select the kernels.</param>
/// <param name="Kernels">Which implementation of each operation runs.</param>
public sealed record TrainingEnvironment(string Build, string Libtorch, int Threads, string Processor, string Kernels)
{
    /// <summary>Processes that share a step: sums are divided among them too.</summary>
    public int Processes { get; init; } = 1;

    /// <param name="threads">What libtorch was told.</param>
    /// <param name="kernels">What the model chose.</param>
    public static TrainingEnvironment Current(int threads, KernelChoices kernels) => new(CodeVersion.Current, TorchSharp.torch.__version__, threads, ProcessorFeatures(), kernels.ToString());

    /// <summary>The first thing that differs, with both values; null when nothing does.</summary>
    public string? Difference(TrainingEnvironment now) =>
        Build != now.Build ? $"the build was {Build} and is {now.Build}"
        : Libtorch != now.Libtorch ? $"libtorch was {Libtorch} and is {now.Libtorch}"
        : Threads != now.Threads ? $"the number of threads was {Threads} and is {now.Threads}"
        : Processor != now.Processor ? $"the processor was {Processor} and is {now.Processor}"
        : Kernels != now.Kernels ? $"the kernels were {Kernels} and are {now.Kernels}"
        : Processes != now.Processes ? $"the number of processes was {Processes} and is {now.Processes}"
        : null;

    private static string ProcessorFeatures()
    {
        (string Name, bool IsSupported)[] features =
        [
            ("sse4.2", Sse42.IsSupported), ("avx2", Avx2.IsSupported), ("fma", Fma.IsSupported), ("avx512f", Avx512F.IsSupported), ("avx512bw", Avx512BW.IsSupported),
            ("avx512vbmi", Avx512Vbmi.IsSupported), ("avxvnni", AvxVnni.IsSupported), ("avx10.1", Avx10v1.IsSupported), ("asimd", AdvSimd.IsSupported), ("dotprod", Dp.IsSupported),
        ];
        return string.Join(' ', features.Where(feature => feature.IsSupported).Select(feature => feature.Name).Prepend(RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant()));
    }
}
