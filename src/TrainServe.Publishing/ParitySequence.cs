namespace TrainServe.Publishing;

// T time, V vocabulary.

/// <summary>One text of the parity check with what TorchSharp makes of it.</summary>
/// <param name="Ids">Prompt and greedy continuation.</param>
/// <param name="PromptLength">How many of the ids are the prompt.</param>
/// <param name="Logits">[T, V]: at each position the logits of the next token; of a reward model [T, 1], the scores.</param>
internal sealed record ParitySequence(int[] Ids, int PromptLength, float[] Logits)
{
    public int VocabSize => Logits.Length / Ids.Length;

    /// <summary>The logits after the first <paramref name="position"/> + 1 tokens.</summary>
    public ReadOnlySpan<float> LogitsAt(int position) => Logits.AsSpan(position * VocabSize, VocabSize);

    /// <summary>The largest difference from logits that were computed otherwise for these positions.</summary>
    /// <returns>Not a number if either side is.</returns>
    public double Error(int firstPosition, ReadOnlySpan<float> logits)
    {
        double worst = 0;
        for (int row = 0; row < logits.Length / VocabSize; row++)
        {
            worst = Math.Max(worst, RowError(LogitsAt(firstPosition + row), logits.Slice(row * VocabSize, VocabSize)));
        }
        return worst;
    }

    /// <summary>How much the most likely token leads the next one.</summary>
    public double Lead(int position)
    {
        float first = float.NegativeInfinity, second = float.NegativeInfinity;
        foreach (float logit in LogitsAt(position))
        {
            if (logit > first)
            {
                (first, second) = (logit, first);
            }
            else if (logit > second)
            {
                second = logit;
            }
        }
        return (double)first - second;
    }

    private static double RowError(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        double worst = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            double difference = Math.Abs((double)expected[i] - actual[i]);
            if (double.IsNaN(difference))
            {
                return double.NaN;
            }
            worst = Math.Max(worst, difference);
        }
        return worst;
    }
}
