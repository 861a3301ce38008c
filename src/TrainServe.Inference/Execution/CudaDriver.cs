using System.Runtime.InteropServices;

namespace TrainServe.Inference.Execution;

/// <summary>What the cache needs of NVIDIA's driver: memory of a GPU, and copies within it. ONNX Runtime's C# package has neither.</summary>
/// <remarks>Works in the primary context of the GPU, which ONNX Runtime's CUDA provider uses too. See the CUDA Driver API reference.</remarks>
internal sealed unsafe class CudaDriver
{
    private const int OutOfMemory = 2, DeviceMemory = 2;
    private static readonly Lazy<(CudaDriver? Driver, string? Reason)> Loaded = new(Load);

    private readonly delegate* unmanaged<int*, int, int> _deviceGet;
    private readonly delegate* unmanaged<nint*, int, int> _retainPrimaryContext;
    private readonly delegate* unmanaged<nint, int> _setCurrentContext;
    private readonly delegate* unmanaged<ulong*, nuint, int> _allocate;
    private readonly delegate* unmanaged<ulong, byte, nuint, int> _fill;
    private readonly delegate* unmanaged<ulong, int> _free;
    private readonly delegate* unmanaged<Copy2D*, int> _copy2D;
    private readonly delegate* unmanaged<int> _synchronize;
    private readonly delegate* unmanaged<int, byte**, int> _errorText;

    private CudaDriver(nint library, out int error)
    {
        _deviceGet = (delegate* unmanaged<int*, int, int>)NativeLibrary.GetExport(library, "cuDeviceGet");
        _retainPrimaryContext = (delegate* unmanaged<nint*, int, int>)NativeLibrary.GetExport(library, "cuDevicePrimaryCtxRetain");
        _setCurrentContext = (delegate* unmanaged<nint, int>)NativeLibrary.GetExport(library, "cuCtxSetCurrent");
        _allocate = (delegate* unmanaged<ulong*, nuint, int>)NativeLibrary.GetExport(library, "cuMemAlloc_v2");
        _fill = (delegate* unmanaged<ulong, byte, nuint, int>)NativeLibrary.GetExport(library, "cuMemsetD8_v2");
        _free = (delegate* unmanaged<ulong, int>)NativeLibrary.GetExport(library, "cuMemFree_v2");
        _copy2D = (delegate* unmanaged<Copy2D*, int>)NativeLibrary.GetExport(library, "cuMemcpy2D_v2");
        _synchronize = (delegate* unmanaged<int>)NativeLibrary.GetExport(library, "cuCtxSynchronize");
        _errorText = (delegate* unmanaged<int, byte**, int>)NativeLibrary.GetExport(library, "cuGetErrorString");
        var initialize = (delegate* unmanaged<uint, int>)NativeLibrary.GetExport(library, "cuInit");
        var count = (delegate* unmanaged<int*, int>)NativeLibrary.GetExport(library, "cuDeviceGetCount");
        int devices = 0;
        error = initialize(0);
        error = error == 0 ? count(&devices) : error;
        Devices = devices;
    }

    /// <summary>How many GPUs the process sees.</summary>
    public int Devices { get; }

    /// <param name="reason">Why there is no driver.</param>
    public static CudaDriver? Load(out string? reason)
    {
        (var driver, reason) = Loaded.Value;
        return driver;
    }

    /// <summary>The context of a GPU, kept until the process ends.</summary>
    public nint Context(int index)
    {
        int device;
        nint context;
        Check(_deviceGet(&device, index));
        Check(_retainPrimaryContext(&context, device));
        return context;
    }

    /// <summary>Zeroed memory.</summary>
    /// <returns>Whether the GPU has so much left.</returns>
    public bool TryAllocate(nint context, long bytes, out nint address)
    {
        ulong allocated = 0;
        Check(_setCurrentContext(context));
        int error = _allocate(&allocated, (nuint)bytes);
        address = (nint)allocated;
        if (error == OutOfMemory)
        {
            return false;
        }
        Check(error);
        Check(_fill(allocated, 0, (nuint)bytes));
        Check(_synchronize());
        return true;
    }

    public void Free(nint context, nint address)
    {
        Check(_setCurrentContext(context));
        Check(_free((ulong)address));
    }

    /// <summary>Copies rows from one place of a GPU to another, and waits for it: the next step runs in a stream of its own.</summary>
    public void Copy(nint context, nint from, nint to, long rowBytes, long pitch, int rows)
    {
        var copy = new Copy2D
        {
            SourceType = DeviceMemory, Source = (ulong)from, SourcePitch = (nuint)pitch,
            TargetType = DeviceMemory, Target = (ulong)to, TargetPitch = (nuint)pitch,
            WidthBytes = (nuint)rowBytes, Height = (nuint)rows,
        };
        Check(_setCurrentContext(context));
        Check(_copy2D(&copy));
        Check(_synchronize());
    }

    private static (CudaDriver?, string?) Load()
    {
        if (!NativeLibrary.TryLoad(OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1", out nint library))
        {
            return (null, "NVIDIA's driver is not installed here");
        }
        var driver = new CudaDriver(library, out int error);
        return error == 0 ? (driver, null) : (null, $"NVIDIA's driver does not start: {driver.Text(error)}");
    }

    private string Text(int error)
    {
        byte* text = null;
        _ = _errorText(error, &text);
        return $"{Marshal.PtrToStringUTF8((nint)text) ?? "unknown error"} ({error})";
    }

    private void Check(int error)
    {
        if (error != 0)
        {
            throw new InvalidOperationException($"NVIDIA's driver: {Text(error)}");
        }
    }

    /// <summary>CUDA_MEMCPY2D of cuda.h.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Copy2D
    {
        public nuint SourceX, SourceY;
        public int SourceType;
        public nint SourceHost;
        public ulong Source;
        public nint SourceArray;
        public nuint SourcePitch;
        public nuint TargetX, TargetY;
        public int TargetType;
        public nint TargetHost;
        public ulong Target;
        public nint TargetArray;
        public nuint TargetPitch;
        public nuint WidthBytes, Height;
    }
}
