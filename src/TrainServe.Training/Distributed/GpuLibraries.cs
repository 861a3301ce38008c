namespace TrainServe.Training.Distributed;

/// <summary>Where NCCL and CUDA's driver are looked for.</summary>
/// <param name="Nccl">File names or paths, the first that is NCCL counts; none switches it off.</param>
/// <param name="Cuda">File name or path.</param>
internal sealed record GpuLibraries(IReadOnlyList<string> Nccl, string Cuda)
{
    /// <summary>The environment's variable that says where NCCL is, or that it is off.</summary>
    public const string Variable = "TRAINSERVE_NCCL";

    // The system's; or libtorch's own library for GPUs, which holds NCCL in some builds.
    private static readonly string[] _usual = ["libnccl.so.2", "libtorch_cuda.so"];

    /// <param name="choice">off, a path, or null for the usual places.</param>
    public static GpuLibraries Chosen(string? choice) => new(choice switch { null or "" => _usual, "off" => [], _ => [choice] }, "libcuda.so.1");

    /// <summary>Loads both, or says why not.</summary>
    /// <param name="rank">This process.</param>
    public (NcclLibrary? Nccl, CudaDriver? Cuda, string Reason) Load(int rank)
    {
        if (Nccl.Count == 0)
        {
            return (null, null, $"{Variable} is off");
        }
        if (NcclLibrary.TryLoad(Nccl, rank) is not { } nccl)
        {
            return (null, null, $"NCCL cannot be loaded ({string.Join(" or ", Nccl)}; install it, on Debian libnccl2, or give its path in {Variable})");
        }
        return CudaDriver.TryLoad(Cuda) is { } cuda ? (nccl, cuda, "") : (null, null, $"CUDA's driver library, {Cuda}, cannot be loaded");
    }
}
