using System.Runtime.InteropServices;

namespace TrainServe.Inference.Execution;

/// <summary>Zeroed memory outside the garbage collector, aligned for any vector instruction. Pages are taken when they are first written.</summary>
internal sealed unsafe class NativeBuffer<T> : IDisposable
    where T : unmanaged
{
    private const nuint Alignment = 64;
    private void* _allocation;

    /// <exception cref="OutOfMemoryException">There is not enough memory.</exception>
    public NativeBuffer(long count)
    {
        Count = count;
        // Zeroing by calloc costs nothing for large blocks, unlike clearing; so the alignment is made here.
        _allocation = NativeMemory.AllocZeroed(checked((nuint)SizeBytes + Alignment));
        Pointer = (T*)(((nuint)_allocation + Alignment - 1) & ~(Alignment - 1));
    }

    public long Count { get; }
    public long SizeBytes => checked(Count * sizeof(T));
    public T* Pointer { get; }

    public Span<T> Span(int count) => count <= Count ? new Span<T>(Pointer, count) : throw new ArgumentOutOfRangeException(nameof(count));

    public void Dispose()
    {
        NativeMemory.Free(_allocation);
        _allocation = null;
    }
}
