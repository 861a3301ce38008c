using System.Numerics.Tensors;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace TrainServe.Inference.Execution;

// K key-value heads, M cache capacity in tokens, D head size in the graph, B slots of a view.

/// <summary>The key-value cache: for each layer one block of keys and one of values, [slots, K, M, D], written in place by the attention kernel.</summary>
/// <remarks>A slot that is reused is not cleared: the kernel reads only as many rows as the lengths that it is given say.</remarks>
internal sealed unsafe class KvArena : IDisposable
{
    private readonly NativeBuffer<byte>[] _keys, _values;
    private readonly int _slots, _heads, _capacity, _headSize, _elementSize;
    private readonly TensorElementType _type;

    /// <exception cref="ArgumentException">There is not enough memory; the message says how much was asked for and what to lower.</exception>
    public KvArena(int layers, int slots, int heads, int capacity, int headSize, TensorElementType type)
    {
        (_type, _elementSize) = (type, type == TensorElementType.Int8 ? sizeof(sbyte) : sizeof(float));
        (_slots, _heads, _capacity, _headSize) = (slots, heads, capacity, headSize);
        (_keys, _values) = (new NativeBuffer<byte>[layers], new NativeBuffer<byte>[layers]);
        try
        {
            for (int layer = 0; layer < layers; layer++)
            {
                _keys[layer] = new NativeBuffer<byte>(slots * SlotSizeBytes);
                _values[layer] = new NativeBuffer<byte>(slots * SlotSizeBytes);
            }
        }
        catch (OutOfMemoryException error)
        {
            Dispose();
            throw new ArgumentException($"The cache for {slots} slots of {capacity} tokens needs {SizeBytes >> 20} MB; lower the slots or the context length.", nameof(slots), error);
        }
    }

    public long SizeBytes => 2L * _keys.Length * _slots * SlotSizeBytes;
    public int Layers => _keys.Length;
    public bool IsEightBit => _type == TensorElementType.Int8;
    private long SlotSizeBytes => (long)_heads * _capacity * _headSize * _elementSize;

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

    /// <summary>The largest absolute value that a layer's keys and values have in each place of each head, [K*D], over the first tokens of a slot.</summary>
    public (float[] Keys, float[] Values) LargestValues(int layer, int slot, int tokens) => (Largest(_keys[layer], slot, tokens), Largest(_values[layer], slot, tokens));

    private float[] Largest(NativeBuffer<byte> buffer, int slot, int tokens)
    {
        if (_type != TensorElementType.Float)
        {
            throw new InvalidOperationException("Only a cache in single precision shows what the model computes.");
        }
        var largest = new float[_heads * _headSize];
        float* start = (float*)(buffer.Pointer + slot * SlotSizeBytes);
        for (int head = 0; head < _heads; head++)
        {
            var place = largest.AsSpan(head * _headSize, _headSize);
            for (int token = 0; token < tokens; token++)
            {
                TensorPrimitives.MaxMagnitude(place, new ReadOnlySpan<float>(start + ((long)head * _capacity + token) * _headSize, _headSize), place);
            }
        }
        TensorPrimitives.Abs<float>(largest, largest);
        return largest;
    }

    private void Copy(byte* start, int from, int to, int tokens)
    {
        long size = (long)tokens * _headSize * _elementSize;
        for (int head = 0; head < _heads; head++)
        {
            long row = (long)head * _capacity * _headSize * _elementSize;
            Buffer.MemoryCopy(start + from * SlotSizeBytes + row, start + to * SlotSizeBytes + row, size, size);
        }
    }

    private OrtValue View(NativeBuffer<byte> buffer, int firstSlot, int count) => OrtValue.CreateTensorValueWithData(
        OrtMemoryInfo.DefaultInstance, _type, [count, _heads, _capacity, _headSize], (nint)(buffer.Pointer + firstSlot * SlotSizeBytes), count * SlotSizeBytes);
}
