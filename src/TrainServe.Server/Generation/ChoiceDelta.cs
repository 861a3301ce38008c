using TrainServe.Server.Contracts;

namespace TrainServe.Server.Generation;

/// <summary>What one token added to a choice.</summary>
/// <param name="Choice">Its index.</param>
/// <param name="Text">New text; empty while characters or a possible stop text are incomplete.</param>
/// <param name="LogProbs">Of the tokens whose text is hereby complete.</param>
/// <param name="FinishReason">stop, length or tool_calls in the last delta of a choice.</param>
internal readonly record struct ChoiceDelta(int Choice, string Text, IReadOnlyList<TokenLogProbEntry> LogProbs, string? FinishReason)
{
    /// <summary>What it added to calls of tools.</summary>
    public IReadOnlyList<ToolCallDelta> ToolCalls { get; init; } = [];

    /// <summary>The stop text that ended the choice; null where something else did.</summary>
    public string? StopText { get; init; }

    public bool IsEmpty => Text.Length == 0 && ToolCalls.Count == 0 && LogProbs.Count == 0 && FinishReason is null;
}
