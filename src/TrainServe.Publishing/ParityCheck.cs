using System.Numerics.Tensors;
using TrainServe.Inference;
using TrainServe.Inference.Execution;
using TrainServe.Inference.Scheduling;

namespace TrainServe.Publishing;

/// <summary>Compares an exported graph with TorchSharp's logits in every way that the engine runs it.</summary>
/// <param name="runner">The graph, with a slot for each short text.</param>
/// <param name="reference">TorchSharp's side: the short texts, then the long one.</param>
internal sealed class ParityCheck(OnnxModelRunner runner, IReadOnlyList<ParitySequence> reference)
{
    // Not a divisor of anything, so that chunk borders fall everywhere.
    private const int OddChunk = 7;
    private static readonly int EngineChunk = new EngineOptions().PrefillChunk;

    private IEnumerable<ParitySequence> Short => reference.Take(ParityPrompts.Count);

    public int Positions => reference.Sum(sequence => sequence.Ids.Length);

    /// <summary>Whole sequences at once.</summary>
    public double TeacherForced() => Worst(reference, sequence => Chunked(sequence, left => left));

    /// <summary>Prefill as the scheduler cuts long prompts: in the engine's own chunks, and in small ones.</summary>
    public double InChunks() => Math.Max(InChunks(EngineChunk), InChunks(OddChunk));

    /// <summary>Each token by itself, as decoding does it.</summary>
    public double TokenByToken() => Worst(Short, sequence => Chunked(sequence, _ => 1));

    /// <summary>All short texts side by side, each at its own length, teacher-forced.</summary>
    public double Batched()
    {
        var sequences = Short.ToArray();
        double worst = 0;
        Prefill(sequences);
        // Texts that a small context cut shorter end the comparison for all, since the batch is dense.
        int steps = sequences.Min(sequence => sequence.Ids.Length - sequence.PromptLength);
        for (int step = 0; step < steps; step++)
        {
            int[] ids = [.. sequences.Select(sequence => sequence.Ids[sequence.PromptLength + step])];
            int[] lengths = [.. sequences.Select(sequence => sequence.PromptLength + step)];
            var logits = runner.Decode(ids, lengths);
            for (int row = 0; row < sequences.Length; row++)
            {
                worst = Math.Max(worst, sequences[row].Error(lengths[row], logits.Slice(row * sequences[row].VocabSize, sequences[row].VocabSize)));
            }
        }
        return worst;
    }

    /// <summary>Greedy continuations in one batch, each fed with what it chose itself.</summary>
    /// <param name="noise">The largest error that was measured: a lead below twice this may turn round.</param>
    /// <returns>How many tokens each prompt was continued by, how many prompts equally, and how many differ first at a near tie.</returns>
    public (int Tokens, int Equal, int NearTies) Greedy(double noise)
    {
        var sequences = Short.ToArray();
        int[] chosen = Prefill(sequences);
        var firstDifference = new int?[sequences.Length];
        int steps = sequences.Min(sequence => sequence.Ids.Length - sequence.PromptLength);
        for (int step = 0; step < steps; step++)
        {
            for (int row = 0; row < sequences.Length; row++)
            {
                int position = sequences[row].PromptLength + step;
                firstDifference[row] ??= chosen[row] == sequences[row].Ids[position] ? null : position - 1;
            }
            if (step + 1 < steps)
            {
                var logits = runner.Decode(chosen, [.. sequences.Select(sequence => sequence.PromptLength + step)]);
                chosen = MostLikely(logits, sequences.Length);
            }
        }
        int equal = firstDifference.Count(position => position is null);
        int nearTies = sequences.Zip(firstDifference).Count(pair => pair.Second is { } position && pair.First.Lead(position) < 2 * noise);
        return (steps, equal, nearTies);
    }

    /// <summary>A reward model's order of the short texts, each scored at its last token.</summary>
    /// <param name="noise">The largest error that was measured: scores closer than twice this may change places.</param>
    /// <returns>How many texts keep their place, and how many lose it to a near tie.</returns>
    public (int Equal, int NearTies) Order(double noise)
    {
        double[] expected = [.. Short.Select(sequence => (double)sequence.LogitsAt(sequence.Ids.Length - 1)[0])];
        double[] actual = [.. Short.Select(sequence => (double)runner.Prefill(0, 0, sequence.Ids, allLogits: false)[0])];
        int[] moved = [.. Enumerable.Range(0, expected.Length).Where(text => Place(expected, text) != Place(actual, text))];
        int nearTies = moved.Count(text => expected.Where((score, other) => other != text && Math.Abs(score - expected[text]) < 2 * noise).Any());
        return (expected.Length - moved.Length, nearTies);

        static int Place(double[] scores, int text) => scores.Count(score => score > scores[text]);
    }

    private double InChunks(int chunk) => Worst(reference, sequence => Chunked(sequence, left => PrefillChunks.Next(left, chunk)));

    private double Chunked(ParitySequence sequence, Func<int, int> next)
    {
        double worst = 0;
        for (int start = 0; start < sequence.Ids.Length;)
        {
            int take = next(sequence.Ids.Length - start);
            worst = Math.Max(worst, sequence.Error(start, runner.Prefill(0, start, sequence.Ids.AsSpan(start, take), allLogits: true)));
            start += take;
        }
        return worst;
    }

    private int[] Prefill(ParitySequence[] sequences)
    {
        var next = new int[sequences.Length];
        for (int slot = 0; slot < sequences.Length; slot++)
        {
            var logits = runner.Prefill(slot, 0, sequences[slot].Ids.AsSpan(0, sequences[slot].PromptLength), allLogits: false);
            next[slot] = TensorPrimitives.IndexOfMax(logits);
        }
        return next;
    }

    private static int[] MostLikely(ReadOnlySpan<float> logits, int rows)
    {
        var ids = new int[rows];
        int vocabSize = logits.Length / rows;
        for (int row = 0; row < rows; row++)
        {
            ids[row] = TensorPrimitives.IndexOfMax(logits.Slice(row * vocabSize, vocabSize));
        }
        return ids;
    }

    // Math.Max keeps a NaN, where Enumerable.Max takes it for the smallest number.
    private static double Worst(IEnumerable<ParitySequence> sequences, Func<ParitySequence, double> error) => sequences.Select(error).Aggregate(0.0, Math.Max);
}
