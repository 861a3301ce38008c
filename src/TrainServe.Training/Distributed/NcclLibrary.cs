using System.Globalization;
using System.Runtime.InteropServices;
using TorchSharp;

namespace TrainServe.Training.Distributed;

/// <summary>NCCL's C interface (nccl.h of version 2), as far as it is needed. Every error becomes a sentence.</summary>
/// <remarks>All calls are made where the GPU's context is the thread's current one; see <see cref="CudaDriver.Enter"/>.</remarks>
internal sealed unsafe class NcclLibrary
{
    private const int Success = 0, OperationSum = 0;
    private static readonly string[] _functions =
    [
        "ncclGetVersion", "ncclGetUniqueId", "ncclCommInitRank", "ncclCommDestroy", "ncclCommAbort", "ncclCommGetAsyncError", "ncclAllReduce", "ncclGroupStart", "ncclGroupEnd", "ncclGetErrorString",
    ];

    private readonly nint _library;
    private readonly int _rank;
    private readonly delegate* unmanaged<void*, void*, nuint, int, int, nint, nint, int> _allReduce;

    /// <summary>Bytes of the id that the first process makes and all others need.</summary>
    public const int UniqueIdBytes = 128;

    private NcclLibrary(nint library, int rank)
    {
        (_library, _rank) = (library, rank);
        _allReduce = (delegate* unmanaged<void*, void*, nuint, int, int, nint, nint, int>)Symbol("ncclAllReduce");
    }

    /// <summary>Loads the first of some libraries that is NCCL.</summary>
    /// <param name="names">File names or paths.</param>
    /// <param name="rank">This process, for sentences.</param>
    /// <returns>Null where none is.</returns>
    public static NcclLibrary? TryLoad(IEnumerable<string> names, int rank)
    {
        foreach (string name in names)
        {
            if (NativeLibrary.TryLoad(name, typeof(NcclLibrary).Assembly, searchPath: null, out nint library) && Array.TrueForAll(_functions, function => NativeLibrary.TryGetExport(library, function, out _)))
            {
                return new NcclLibrary(library, rank);
            }
        }
        return null;
    }

    /// <summary>Whether it adds numbers of a type.</summary>
    public static bool Adds(torch.ScalarType type) => type is torch.ScalarType.Float32 or torch.ScalarType.BFloat16;

    /// <summary>Such as 2.27.3.</summary>
    public string Version
    {
        get
        {
            int code;
            Check(((delegate* unmanaged<int*, int>)Symbol("ncclGetVersion"))(&code), "ncclGetVersion");
            // NCCL_VERSION_CODE; until 2.8 the factors were 1,000 and 100.
            int major = code < 10000 ? 1000 : 10000;
            return string.Create(CultureInfo.InvariantCulture, $"{code / major}.{code % major / 100}.{code % 100}");
        }
    }

    public void NewUniqueId(Span<byte> id)
    {
        UniqueId made;
        Check(((delegate* unmanaged<UniqueId*, int>)Symbol("ncclGetUniqueId"))(&made), "ncclGetUniqueId");
        new ReadOnlySpan<byte>(made.Bytes, UniqueIdBytes).CopyTo(id);
    }

    /// <summary>Waits for all processes to come here with the same id.</summary>
    /// <returns>A communicator.</returns>
    public nint Join(ReadOnlySpan<byte> id, int size)
    {
        UniqueId given;
        id.CopyTo(new Span<byte>(given.Bytes, UniqueIdBytes));
        nint communicator;
        Check(((delegate* unmanaged<nint*, int, UniqueId, int, int>)Symbol("ncclCommInitRank"))(&communicator, size, given, _rank), "ncclCommInitRank");
        return communicator;
    }

    /// <summary>Adds many parts as one operation.</summary>
    public void BeginGroup() => Check(((delegate* unmanaged<int>)Symbol("ncclGroupStart"))(), "ncclGroupStart");

    public void EndGroup(nint communicator) => Check(((delegate* unmanaged<int>)Symbol("ncclGroupEnd"))(), "ncclGroupEnd", communicator);

    /// <summary>Adds numbers in place over all processes, in the order of a stream.</summary>
    public void Sum(void* numbers, long count, torch.ScalarType type, nint communicator, nint stream)
    {
        // ncclFloat32 and ncclBfloat16
        int code = type == torch.ScalarType.Float32 ? 7 : 9;
        Check(_allReduce(numbers, numbers, (nuint)count, code, OperationSum, communicator, stream), "ncclAllReduce", communicator);
    }

    /// <summary>Finds what went wrong behind a call that had returned.</summary>
    public void CheckBehind(nint communicator)
    {
        int error;
        Check(((delegate* unmanaged<nint, int*, int>)Symbol("ncclCommGetAsyncError"))(communicator, &error), "ncclCommGetAsyncError", communicator);
        Check(error, "an all-reduce", communicator);
    }

    public void Leave(nint communicator) => Check(((delegate* unmanaged<nint, int>)Symbol("ncclCommDestroy"))(communicator), "ncclCommDestroy");

    /// <summary>Leaves without the others: what waits for them on the GPU ends.</summary>
    public void Abort(nint communicator) => _ = ((delegate* unmanaged<nint, int>)Symbol("ncclCommAbort"))(communicator);

    private void Check(int error, string what, nint communicator = 0)
    {
        if (error == Success)
        {
            return;
        }
        string reason = Marshal.PtrToStringUTF8(((delegate* unmanaged<int, nint>)Symbol("ncclGetErrorString"))(error)) ?? "no reason given";
        // Says more, from 2.13 on.
        string detail = NativeLibrary.TryGetExport(_library, "ncclGetLastError", out nint last) ? Marshal.PtrToStringUTF8(((delegate* unmanaged<nint, nint>)last)(communicator))?.Trim() ?? "" : "";
        throw new ExternalException(string.Create(CultureInfo.InvariantCulture,
            $"NCCL failed in process {_rank}: {what} gave error {error}, {reason}{(detail.Length > 0 ? $" ({detail})" : "")}. The checkpoints are as they were. NCCL_DEBUG=INFO shows more; with {GpuLibraries.Variable}=off gradients go through the processor's memory."), error);
    }

    private nint Symbol(string name) => NativeLibrary.GetExport(_library, name);

    // Passed by value.
    private struct UniqueId
    {
        public fixed byte Bytes[UniqueIdBytes];
    }
}
