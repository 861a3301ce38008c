using System.Text;
using TrainServe.Server.Contracts;

namespace TrainServe.Server.Generation;

/// <summary>What all deltas of a choice add up to.</summary>
/// <param name="FinishReason">stop, length or tool_calls.</param>
/// <param name="StopText">The stop text that ended it, if one did.</param>
internal sealed record WholeChoice(string Text, IReadOnlyList<TokenLogProbEntry> LogProbs, string FinishReason, string? StopText, IReadOnlyList<WholeToolCall> ToolCalls);

/// <param name="Arguments">JSON.</param>
internal sealed record WholeToolCall(string Id, string Name, string Arguments);

/// <summary>Adds up the deltas of one choice.</summary>
internal sealed class ChoiceGatherer
{
    private readonly StringBuilder _text = new();
    private readonly List<TokenLogProbEntry> _logProbs = [];
    private readonly List<(string Id, string Name, StringBuilder Arguments)> _calls = [];
    private ChoiceDelta _last;

    public void Take(in ChoiceDelta delta)
    {
        _text.Append(delta.Text);
        _logProbs.AddRange(delta.LogProbs);
        _last = delta;
        foreach (var call in delta.ToolCalls)
        {
            if (call.Id is not null)
            {
                _calls.Add((call.Id, call.Name!, new StringBuilder()));
            }
            _calls[^1].Arguments.Append(call.Arguments);
        }
    }

    /// <summary>The choice, after its last delta.</summary>
    public WholeChoice Whole() => new(_text.ToString(), _logProbs, _last.FinishReason!, _last.StopText,
        [.. _calls.Select(call => new WholeToolCall(call.Id, call.Name, call.Arguments.ToString()))]);
}

/// <summary>Gathers a run into whole choices.</summary>
internal static class WholeChoices
{
    public static async Task<WholeChoice[]> CollectAsync(TextRun run, CancellationToken cancellationToken)
    {
        ChoiceGatherer[] choices = [.. Enumerable.Range(0, run.Choices).Select(_ => new ChoiceGatherer())];
        await foreach (var delta in run.Deltas.ReadAllAsync(cancellationToken))
        {
            choices[delta.Choice].Take(delta);
        }
        return Array.ConvertAll(choices, choice => choice.Whole());
    }
}
