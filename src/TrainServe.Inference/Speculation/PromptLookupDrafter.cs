namespace TrainServe.Inference.Speculation;

/// <summary>Guesses that what followed the newest few tokens the last time follows them again: Saxena 2023, prompt lookup decoding.</summary>
/// <remarks>Costs nothing but a search, and is right where an answer repeats its prompt: summaries, corrections, code, lists.</remarks>
internal sealed class PromptLookupDrafter : IDrafter
{
    private const int LongestMatch = 4, ShortestMatch = 2;

    public int Draft(ReadOnlySpan<int> tokens, Span<int> draft)
    {
        for (int length = Math.Min(LongestMatch, tokens.Length - 1); length >= ShortestMatch; length--)
        {
            int at = tokens[..^1].LastIndexOf(tokens[^length..]);
            if (at >= 0)
            {
                var follows = tokens[(at + length)..];
                int count = Math.Min(draft.Length, follows.Length);
                follows[..count].CopyTo(draft);
                return count;
            }
        }
        return 0;
    }

    public void Dispose()
    {
    }
}
