using System.Numerics.Tensors;
using TrainServe.Inference.Execution;

namespace TrainServe.Inference.Speculation;

/// <summary>Lets a smaller model with the same tokenizer guess, greedily, in a cache of its own.</summary>
/// <param name="runner">Of the smaller model, with one slot; disposed with this.</param>
/// <param name="chunk">Most tokens that are computed at once.</param>
internal sealed class ModelDrafter(IModelRunner runner, int chunk) : IDrafter
{
    private readonly int[] _cached = new int[runner.ContextLength];
    private int _count;

    public int Draft(ReadOnlySpan<int> tokens, Span<int> draft)
    {
        // The last guess is not cached.
        int room = Math.Min(draft.Length, runner.ContextLength - tokens.Length + 1);
        if (room <= 0)
        {
            return 0;
        }
        _count = Math.Min(tokens[..^1].CommonPrefixLength(_cached.AsSpan(0, _count)), tokens.Length - 1);
        int next = 0;
        while (_count < tokens.Length)
        {
            next = Compute(tokens.Slice(_count, Math.Min(chunk, tokens.Length - _count)));
        }
        draft[0] = next;
        for (int i = 1; i < room; i++)
        {
            draft[i] = Compute(draft.Slice(i - 1, 1));
        }
        return room;
    }

    public void Dispose() => runner.Dispose();

    private int Compute(ReadOnlySpan<int> ids)
    {
        var logits = ids.Length == 1 ? runner.Decode(ids, [_count]) : runner.Prefill(0, _count, ids, allLogits: false);
        ids.CopyTo(_cached.AsSpan(_count));
        _count += ids.Length;
        return TensorPrimitives.IndexOfMax(logits);
    }
}
