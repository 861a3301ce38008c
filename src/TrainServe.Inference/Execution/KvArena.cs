using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace TrainServe.Inference.Execution;

// K key-value heads, M cache capacity in tokens, D head size in the graph, B slots of a view.

/// <summary>The key-value cache: for each layer one block of keys and one of values, [slots, K, M, D], written in place by the attention kernel.</summary>
/// <remarks>A slot that is reused is not cleared: the kernel reads only as many rows as the lengths that it is given say.</remarks>
internal sealed unsafe class KvArena : IDisposable
{
    private readonly NativeBuffer<float>[] _keys, _values;
    private readonly int _slots, _heads, _capacity, _headSize;

    /// <exception cref="ArgumentException">There is not enough memory; the message says how much was asked for and what to lower.</exception>
    public KvArena(int layers, int slots, int heads, int capacity, int headSize)
    {
        (_slots, _heads, _capacity, _headSize) = (slots, heads, capacity, headSize);
        (_keys, _values) = (new NativeBuffer<float>[layers], new NativeBuffer<float>[layers]);
        try
        {
            for (int layer = 0; layer < layers; layer++)
            {
                _keys[layer] = new NativeBuffer<float>(slots * SlotLength);
                _values[layer] = new NativeBuffer<float>(slots * SlotLength);
            }
        }
        catch (OutOfMemoryException error)
        {
            Dispose();
            throw new ArgumentException($"The cache for {slots} slots of {capacity} tokens needs {SizeBytes >> 20} MB; lower the slots or the context length.", nameof(slots), error);
        }
    }

    public long SizeBytes => 2L * sizeof(float) * _keys.Length * _slots * SlotLength;
    public int Layers => _keys.Length;
    private long SlotLength => (long)_heads * _capacity * _headSize;

    /// <summary>Consecutive slots as one tensor [B, K, M, D]; owned by the caller, valid as long as the arena.</summary>
    public OrtValue KeyView(int layer, int firstSlot, int count) => View(_keys[layer], firstSlot, count);

    /// <inheritdoc cref="KeyView"/>
    public OrtValue ValueView(int layer, int firstSlot, int count) => View(_values[layer], firstSlot, count);

    /// <summary>Copies the first tokens of one slot over those of another.</summary>
    public void Copy(int from, int to, int tokens)
    {
        for (int layer = 0; layer < _keys.Length; layer++)
        {
            Copy(_keys[layer].Pointer, from, to, tokens);
            Copy(_values[layer].Pointer, from, to, tokens);
        }
    }

    public void Dispose()
    {
        foreach (var buffer in _keys.Concat(_values))
        {
            buffer?.Dispose();
        }
    }

    private void Copy(float* start, int from, int to, int tokens)
    {
        long size = sizeof(float) * (long)tokens * _headSize;
        for (int head = 0; head < _heads; head++)
        {
            long row = (long)head * _capacity * _headSize;
            Buffer.MemoryCopy(start + from * SlotLength + row, start + to * SlotLength + row, size, size);
        }
    }

    private OrtValue View(NativeBuffer<float> buffer, int firstSlot, int count) => OrtValue.CreateTensorValueWithData(
        OrtMemoryInfo.DefaultInstance, TensorElementType.Float, [count, _heads, _capacity, _headSize],
        (nint)(buffer.Pointer + firstSlot * SlotLength), count * SlotLength * sizeof(float));
}
