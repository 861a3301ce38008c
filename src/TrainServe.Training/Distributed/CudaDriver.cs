using System.Globalization;
using System.Runtime.InteropServices;

namespace TrainServe.Training.Distributed;

/// <summary>CUDA's driver interface (cuda.h), as far as it takes to order NCCL's work behind libtorch's and libtorch's behind NCCL's. Every error becomes a sentence.</summary>
/// <remarks>The driver's library has one name on all machines with an NVIDIA GPU, while the run-time library that libtorch comes with is named by its version.</remarks>
internal sealed unsafe class CudaDriver
{
    private const int Success = 0;

    // A stream that libtorch's does not wait for by itself, and an event that takes no time.
    private const uint NonBlocking = 1, WithoutTiming = 2;
    private static readonly string[] _functions =
    [
        "cuInit", "cuDeviceGet", "cuDeviceGetUuid", "cuDevicePrimaryCtxRetain", "cuCtxPushCurrent_v2", "cuCtxPopCurrent_v2", "cuStreamCreate", "cuStreamDestroy_v2", "cuEventCreate", "cuEventDestroy_v2",
        "cuEventRecord", "cuStreamWaitEvent", "cuGetErrorString",
    ];

    private readonly nint _library;
    private readonly delegate* unmanaged<nint, nint, int> _record;
    private readonly delegate* unmanaged<nint, nint, uint, int> _waitFor;

    private CudaDriver(nint library)
    {
        _library = library;
        _record = (delegate* unmanaged<nint, nint, int>)Symbol("cuEventRecord");
        _waitFor = (delegate* unmanaged<nint, nint, uint, int>)Symbol("cuStreamWaitEvent");
    }

    /// <summary>Bytes of a GPU's identity.</summary>
    public const int IdentityBytes = 16;

    /// <summary>libtorch's current stream: TorchSharp leaves it at the default one of the device.</summary>
    public const nint DefaultStream = 0;

    /// <returns>Null where the library is not there, or is not CUDA's.</returns>
    public static CudaDriver? TryLoad(string name) =>
        NativeLibrary.TryLoad(name, out nint library) && Array.TrueForAll(_functions, function => NativeLibrary.TryGetExport(library, function, out _)) ? new CudaDriver(library) : null;

    /// <summary>What tells a GPU from all others in the world.</summary>
    /// <param name="device">Its number in this process.</param>
    /// <param name="identity">Is filled.</param>
    public void Identify(int device, Span<byte> identity)
    {
        // A part of a GPU that MIG divided has its own, which only the later function tells.
        string function = NativeLibrary.TryGetExport(_library, "cuDeviceGetUuid_v2", out _) ? "cuDeviceGetUuid_v2" : "cuDeviceGetUuid";
        fixed (byte* place = identity)
        {
            Check(((delegate* unmanaged<byte*, int, int>)Symbol(function))(place, Device(device)), function);
        }
    }

    /// <summary>The context in which libtorch uses a GPU; it stays to the end of the process.</summary>
    public nint Context(int device)
    {
        nint context;
        Check(((delegate* unmanaged<nint*, int, int>)Symbol("cuDevicePrimaryCtxRetain"))(&context, Device(device)), "cuDevicePrimaryCtxRetain");
        return context;
    }

    /// <summary>Makes a context this thread's current one until the result is disposed.</summary>
    public Entered Enter(nint context)
    {
        Check(((delegate* unmanaged<nint, int>)Symbol("cuCtxPushCurrent_v2"))(context), "cuCtxPushCurrent");
        return new Entered(this);
    }

    public nint NewStream()
    {
        nint stream;
        Check(((delegate* unmanaged<nint*, uint, int>)Symbol("cuStreamCreate"))(&stream, NonBlocking), "cuStreamCreate");
        return stream;
    }

    public nint NewEvent()
    {
        nint place;
        Check(((delegate* unmanaged<nint*, uint, int>)Symbol("cuEventCreate"))(&place, WithoutTiming), "cuEventCreate");
        return place;
    }

    /// <summary>Lets everything that comes into a stream from now on wait for all that is in another one.</summary>
    /// <param name="waiting">The stream that waits.</param>
    /// <param name="first">The stream that is waited for.</param>
    /// <param name="marker">An event, which may be used again at once.</param>
    public void Order(nint waiting, nint first, nint marker)
    {
        Check(_record(marker, first), "cuEventRecord");
        Check(_waitFor(waiting, marker, 0), "cuStreamWaitEvent");
    }

    public void Free(nint stream, nint marker)
    {
        Check(((delegate* unmanaged<nint, int>)Symbol("cuEventDestroy_v2"))(marker), "cuEventDestroy");
        Check(((delegate* unmanaged<nint, int>)Symbol("cuStreamDestroy_v2"))(stream), "cuStreamDestroy");
    }

    private int Device(int number)
    {
        int device;
        Check(((delegate* unmanaged<uint, int>)Symbol("cuInit"))(0), "cuInit");
        Check(((delegate* unmanaged<int*, int, int>)Symbol("cuDeviceGet"))(&device, number), "cuDeviceGet");
        return device;
    }

    private void Check(int error, string function)
    {
        if (error == Success)
        {
            return;
        }
        nint text;
        _ = ((delegate* unmanaged<int, nint*, int>)Symbol("cuGetErrorString"))(error, &text);
        throw new ExternalException(string.Create(CultureInfo.InvariantCulture, $"CUDA failed: {function} gave error {error}, {Marshal.PtrToStringUTF8(text) ?? "which it does not know"}. The checkpoints are as they were."), error);
    }

    private nint Symbol(string name) => NativeLibrary.GetExport(_library, name);

    /// <summary>Gives the thread its earlier context back.</summary>
    internal readonly struct Entered(CudaDriver driver) : IDisposable
    {
        public void Dispose()
        {
            nint context;
            _ = ((delegate* unmanaged<nint*, int>)driver.Symbol("cuCtxPopCurrent_v2"))(&context);
        }
    }
}
