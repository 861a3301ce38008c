using System.Numerics.Tensors;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace TrainServe.Inference.Execution;

// K key-value heads, M cache capacity in tokens, D head size in the graph, B slots of a view.

/// <summary>The key-value cache: for each layer one block of keys and one of values, [slots, K, M, D], written in place by the attention kernel.</summary>
/// <remarks>A slot that is reused is not cleared: the kernel reads only as many rows as the lengths that it is given say.</remarks>
internal sealed unsafe class KvArena : IDisposable
{
    private readonly CacheMemory _memory;
    private readonly nint[] _keys, _values;
    private readonly int _slots, _heads, _capacity, _headSize, _elementSize;
    private readonly TensorElementType _type;

    /// <exception cref="ArgumentException">There is not enough memory; the message says how much was asked for and what to lower.</exception>
    public KvArena(InferenceDevice device, int layers, int slots, int heads, int capacity, int headSize, TensorElementType type)
    {
        (_type, _elementSize) = (type, type switch { TensorElementType.Int8 => sizeof(sbyte), TensorElementType.Float16 => sizeof(ushort), _ => sizeof(float) });
        (_slots, _heads, _capacity, _headSize) = (slots, heads, capacity, headSize);
        (_keys, _values) = (new nint[layers], new nint[layers]);
        _memory = CacheMemory.Of(device);
        for (int layer = 0; layer < layers; layer++)
        {
            if (!_memory.TryAllocate(slots * SlotSizeBytes, out _keys[layer]) || !_memory.TryAllocate(slots * SlotSizeBytes, out _values[layer]))
            {
                Dispose();
                throw new ArgumentException($"The cache for {slots} slots of {capacity} tokens needs {SizeBytes >> 20} MB; lower the slots or the context length.", nameof(slots));
            }
        }
    }

    public long SizeBytes => 2L * _keys.Length * _slots * SlotSizeBytes;
    public int Layers => _keys.Length;
    public bool IsEightBit => _type == TensorElementType.Int8;
    private long SlotSizeBytes => _heads * HeadSizeBytes;
    private long HeadSizeBytes => (long)_capacity * _headSize * _elementSize;

    /// <summary>Consecutive slots as one tensor [B, K, M, D]; owned by the caller, valid as long as the arena.</summary>
    public OrtValue KeyView(int layer, int firstSlot, int count) => View(_keys[layer], firstSlot, count);

    /// <inheritdoc cref="KeyView"/>
    public OrtValue ValueView(int layer, int firstSlot, int count) => View(_values[layer], firstSlot, count);

    /// <summary>Copies the first tokens of one slot over those of another.</summary>
    public void Copy(int from, int to, int tokens)
    {
        foreach (nint block in (ReadOnlySpan<nint>)[.. _keys, .. _values])
        {
            _memory.Copy(block + (nint)(from * SlotSizeBytes), block + (nint)(to * SlotSizeBytes), (long)tokens * _headSize * _elementSize, HeadSizeBytes, _heads);
        }
    }

    public void Dispose() => _memory.Dispose();

    /// <summary>The largest absolute value that a layer's keys and values have in each place of each head, [K*D], over the first tokens of a slot.</summary>
    public (float[] Keys, float[] Values) LargestValues(int layer, int slot, int tokens) => (Largest(_keys[layer], slot, tokens), Largest(_values[layer], slot, tokens));

    private float[] Largest(nint block, int slot, int tokens)
    {
        if (_type != TensorElementType.Float)
        {
            throw new InvalidOperationException("Only a cache in single precision shows what the model computes.");
        }
        var largest = new float[_heads * _headSize];
        float* start = (float*)(block + (nint)(slot * SlotSizeBytes));
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

    private OrtValue View(nint block, int firstSlot, int count) => OrtValue.CreateTensorValueWithData(
        _memory.Info, _type, [count, _heads, _capacity, _headSize], block + (nint)(firstSlot * SlotSizeBytes), count * SlotSizeBytes);
}
