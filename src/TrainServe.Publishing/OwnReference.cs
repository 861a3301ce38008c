using System.Numerics.Tensors;
using TrainServe.Inference.Execution;

namespace TrainServe.Publishing;

/// <summary>What a graph makes of the parity check's texts when each runs alone: what the same graph must make of them in every other way.</summary>
internal static class OwnReference
{
    public static IReadOnlyList<ParitySequence> Compute(OnnxModelRunner runner, IReadOnlyList<ParitySequence> reference) =>
        [.. reference.Select(sequence => Continue(runner, sequence.Ids.AsSpan(0, sequence.PromptLength), sequence.Ids.Length))];

    private static ParitySequence Continue(OnnxModelRunner runner, ReadOnlySpan<int> prompt, int length)
    {
        int[] ids = new int[length];
        prompt.CopyTo(ids);
        for (int position = prompt.Length; position < length; position++)
        {
            var logits = position == prompt.Length ? runner.Prefill(0, 0, prompt, allLogits: false) : runner.Decode(ids.AsSpan(position - 1, 1), [position - 1]);
            ids[position] = TensorPrimitives.IndexOfMax(logits);
        }
        return new ParitySequence(ids, prompt.Length, runner.Prefill(0, 0, ids, allLogits: true).ToArray());
    }
}
