using TorchSharp;
using TrainServe.Core;
using static TorchSharp.torch;

namespace TrainServe.Model.Generation;

// B batch, T new time, S time so far, M capacity, K key-value heads, D head size.

/// <summary>Keys and values of the tokens that a model has seen, for a fixed number of sequences that advance together.</summary>
public sealed class TorchKvCache : IDisposable
{
    private readonly Tensor[] _keysBKMD, _valuesBKMD;

    /// <param name="config">Shape of the model.</param>
    /// <param name="batch">Sequences.</param>
    /// <param name="capacity">Most tokens of one sequence.</param>
    /// <param name="dtype">The model's.</param>
    /// <param name="device">The model's.</param>
    /// <exception cref="ArgumentOutOfRangeException">The batch is empty, or the capacity is not between 1 and the model's context.</exception>
    public TorchKvCache(ModelConfig config, int batch, int capacity, ScalarType dtype = ScalarType.Float32, Device? device = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(capacity);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(capacity, config.MaxPositionEmbeddings);
        (Batch, Capacity) = (batch, capacity);
        long[] shape = [batch, config.NumKeyValueHeads, capacity, config.HeadDim];
        _keysBKMD = [.. Enumerable.Range(0, config.NumHiddenLayers).Select(_ => zeros(shape, dtype, device).DetachFromDisposeScope())];
        _valuesBKMD = [.. Enumerable.Range(0, config.NumHiddenLayers).Select(_ => zeros(shape, dtype, device).DetachFromDisposeScope())];
    }

    public int Batch { get; private set; }
    public int Capacity { get; }

    /// <summary>Tokens of each sequence that every layer has seen, S.</summary>
    public int Length { get; private set; }

    /// <summary>Forgets everything after the first <paramref name="length"/> tokens.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There are not so many.</exception>
    public void Truncate(int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, Length);
        Length = length;
    }

    /// <summary>Goes on with some of the sequences, in another order or several times.</summary>
    /// <param name="sequences">Numbers of those so far, at least one.</param>
    internal void Pick(int[] sequences)
    {
        using var places = tensor([.. sequences.Select(sequence => (long)sequence)], ScalarType.Int64, _keysBKMD[0].device);
        foreach (var tensors in (ReadOnlySpan<Tensor[]>)[_keysBKMD, _valuesBKMD])
        {
            for (int layer = 0; layer < tensors.Length; layer++)
            {
                using var before = tensors[layer];
                tensors[layer] = before.index_select(0, places).DetachFromDisposeScope();
            }
        }
        Batch = sequences.Length;
    }

    /// <summary>Adds one layer's keys and values behind those so far.</summary>
    /// <returns>Views of all of that layer's keys and values, [B, K, S + T, D], owned by the caller.</returns>
    internal (Tensor Keys, Tensor Values) Append(int layer, Tensor kBKTD, Tensor vBKTD)
    {
        long time = kBKTD.shape[2];
        return (Append(_keysBKMD[layer], kBKTD, time), Append(_valuesBKMD[layer], vBKTD, time));
    }

    /// <summary>Called once when every layer has appended.</summary>
    internal void Advance(long time) => Length += (int)time;

    public void Dispose()
    {
        foreach (var tensor in (ReadOnlySpan<Tensor[]>)[_keysBKMD, _valuesBKMD])
        {
            foreach (var layer in tensor)
            {
                layer.Dispose();
            }
        }
    }

    private Tensor Append(Tensor storageBKMD, Tensor newBKTD, long time)
    {
        using var target = storageBKMD.narrow(2, Length, time);
        using var written = target.copy_(newBKTD);
        return storageBKMD.narrow(2, 0, Length + time);
    }
}
