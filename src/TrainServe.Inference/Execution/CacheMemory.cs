using Microsoft.ML.OnnxRuntime;

namespace TrainServe.Inference.Execution;

/// <summary>Memory of a device that holds the key-value cache.</summary>
internal abstract class CacheMemory : IDisposable
{
    /// <summary>What tensors in this memory are to be made with.</summary>
    public abstract OrtMemoryInfo Info { get; }

    public static CacheMemory Of(InferenceDevice device) => device.CudaIndex is { } index ? new CudaMemory(device, index) : new HostMemory();

    /// <summary>Zeroed memory.</summary>
    /// <returns>Whether there is so much.</returns>
    public abstract bool TryAllocate(long bytes, out nint address);

    /// <summary>Copies rows that lie <paramref name="pitch"/> bytes apart on both sides.</summary>
    public abstract void Copy(nint from, nint to, long rowBytes, long pitch, int rows);

    /// <summary>Gives back everything that was allocated.</summary>
    public abstract void Dispose();

    private sealed unsafe class HostMemory : CacheMemory
    {
        private readonly List<NativeBuffer<byte>> _buffers = [];

        public override OrtMemoryInfo Info => OrtMemoryInfo.DefaultInstance;

        public override bool TryAllocate(long bytes, out nint address)
        {
            try
            {
                _buffers.Add(new NativeBuffer<byte>(bytes));
            }
            catch (OutOfMemoryException)
            {
                address = 0;
                return false;
            }
            address = (nint)_buffers[^1].Pointer;
            return true;
        }

        public override void Copy(nint from, nint to, long rowBytes, long pitch, int rows)
        {
            for (int row = 0; row < rows; row++)
            {
                Buffer.MemoryCopy((byte*)from + row * pitch, (byte*)to + row * pitch, rowBytes, rowBytes);
            }
        }

        public override void Dispose() => _buffers.ForEach(buffer => buffer.Dispose());
    }

    private sealed class CudaMemory : CacheMemory
    {
        private readonly CudaDriver _driver;
        private readonly nint _context;
        private readonly List<nint> _addresses = [];

        public CudaMemory(InferenceDevice device, int index)
        {
            _driver = CudaDriver.Load(out string? reason) ?? throw new InvalidDataException($"Device {device}: {reason}.");
            _context = _driver.Context(index);
            Info = new OrtMemoryInfo("Cuda", OrtAllocatorType.DeviceAllocator, index, OrtMemType.Default);
        }

        public override OrtMemoryInfo Info { get; }

        public override bool TryAllocate(long bytes, out nint address)
        {
            if (!_driver.TryAllocate(_context, bytes, out address))
            {
                return false;
            }
            _addresses.Add(address);
            return true;
        }

        public override void Copy(nint from, nint to, long rowBytes, long pitch, int rows) => _driver.Copy(_context, from, to, rowBytes, pitch, rows);

        public override void Dispose()
        {
            _addresses.ForEach(address => _driver.Free(_context, address));
            Info.Dispose();
        }
    }
}
