namespace TrainServe.Server.Contracts;

/// <summary>The whole answer to a plain completion request.</summary>
/// <param name="Id">Begins with <c>cmpl-</c>.</param>
/// <param name="Created">Seconds since 1970.</param>
/// <param name="SystemFingerprint">Names the model version that made the answer.</param>
internal sealed record TextCompletion(
    string Id, long Created, string Model, IReadOnlyList<CompletionChoice> Choices, CompletionUsage Usage, string SystemFingerprint)
{
    public string Object => "text_completion";
}

/// <param name="Index">Choices of the first prompt first.</param>
/// <param name="FinishReason">stop or length.</param>
internal sealed record CompletionChoice(string Text, int Index, CompletionLogProbs? Logprobs, string FinishReason);

/// <summary>One event of a streamed completion.</summary>
internal record TextCompletionChunk(string Id, long Created, string Model, IReadOnlyList<CompletionChunkChoice> Choices, string SystemFingerprint)
{
    public string Object => "text_completion";
}

/// <summary>A chunk of a stream with <c>include_usage</c>: null in all but the last.</summary>
internal sealed record TextCompletionUsageChunk(
    string Id, long Created, string Model, IReadOnlyList<CompletionChunkChoice> Choices, string SystemFingerprint, CompletionUsage? Usage)
    : TextCompletionChunk(Id, Created, Model, Choices, SystemFingerprint);

/// <param name="FinishReason">In the last chunk of a choice.</param>
internal sealed record CompletionChunkChoice(string Text, int Index, CompletionLogProbs? Logprobs, string? FinishReason);

/// <summary>Log-probabilities in the older form: one list a property.</summary>
/// <param name="TextOffset">Where each token begins in the answer, in UTF-16 code units.</param>
/// <param name="TopLogprobs">The likeliest tokens at each position by their text; of two with the same text the likelier one.</param>
internal sealed record CompletionLogProbs(
    IReadOnlyList<int> TextOffset, IReadOnlyList<float> TokenLogprobs, IReadOnlyList<string> Tokens, IReadOnlyList<IReadOnlyDictionary<string, float>> TopLogprobs)
{
    /// <param name="entries">The newer form.</param>
    /// <param name="offset">Where the first one begins.</param>
    public static CompletionLogProbs Of(IReadOnlyList<TokenLogProbEntry> entries, int offset)
    {
        int[] offsets = new int[entries.Count];
        for (int i = 0; i < offsets.Length; offset += entries[i].Token.Length, i++)
        {
            offsets[i] = offset;
        }
        return new CompletionLogProbs(offsets, [.. entries.Select(entry => entry.Logprob)], [.. entries.Select(entry => entry.Token)], [.. entries.Select(Top)]);
    }

    private static Dictionary<string, float> Top(TokenLogProbEntry entry)
    {
        var top = new Dictionary<string, float>(StringComparer.Ordinal);
        foreach (var item in entry.TopLogprobs)
        {
            top.TryAdd(item.Token, item.Logprob);
        }
        return top;
    }
}
