using System.Text;
using TrainServe.Core.Tokenization;
using TrainServe.Training.Data;

namespace TrainServe.Training.FineTuning;

/// <summary>Shows which tokens are learned: ⟦these⟧.</summary>
public static class MaskPreview
{
    /// <summary>The texts of the first rows of a batch, one a line break apart; a text's padding is left out.</summary>
    /// <param name="batch">With segments.</param>
    /// <param name="tokenizer">Decodes.</param>
    /// <param name="texts">At most so many.</param>
    public static string Of(TokenBatch batch, TextTokenizer tokenizer, int texts)
    {
        var preview = new StringBuilder();
        for (int start = 0; start < batch.Inputs.Length && texts > 0;)
        {
            int end = start + 1, rowEnd = (start / batch.Columns + 1) * batch.Columns;
            while (end < rowEnd && batch.Segments![end] == batch.Segments[start])
            {
                end++;
            }
            if (batch.Targets.AsSpan(start..end).ContainsAnyExcept(TokenBatch.Ignored))
            {
                preview.Append(Text(batch.Inputs.AsSpan(start..end), batch.Targets.AsSpan(start..end), tokenizer)).Append('\n');
                texts--;
            }
            start = end;
        }
        return preview.ToString();
    }

    // Token i + 1 is learned where target i is set.
    private static string Text(ReadOnlySpan<int> inputs, ReadOnlySpan<int> targets, TextTokenizer tokenizer)
    {
        var text = new StringBuilder();
        var pending = new List<int> { inputs[0] };
        bool isLearned = false;
        for (int i = 0; i < targets.Length; i++)
        {
            bool next = targets[i] != TokenBatch.Ignored;
            if (i + 1 == inputs.Length && !next)
            {
                break;
            }
            if (next != isLearned)
            {
                Append(text, pending, isLearned, tokenizer);
                isLearned = next;
            }
            pending.Add(next ? targets[i] : inputs[i + 1]);
        }
        Append(text, pending, isLearned, tokenizer);
        return text.ToString();
    }

    private static void Append(StringBuilder text, List<int> pending, bool isLearned, TextTokenizer tokenizer)
    {
        string part = tokenizer.Decode(CollectionsMarshalSpan(pending), skipSpecial: false);
        text.Append(isLearned ? $"⟦{part}⟧" : part);
        pending.Clear();
    }

    private static Span<int> CollectionsMarshalSpan(List<int> items) => System.Runtime.InteropServices.CollectionsMarshal.AsSpan(items);
}
