using System.Text;
using TrainServe.Server.Contracts;

namespace TrainServe.Server.Generation;

/// <summary>What all deltas of a choice add up to.</summary>
/// <param name="FinishReason">stop, length or tool_calls.</param>
/// <param name="StopText">The stop text that ended it, if one did.</param>
internal sealed record WholeChoice(string Text, IReadOnlyList<TokenLogProbEntry> LogProbs, string FinishReason, string? StopText, IReadOnlyList<WholeToolCall> ToolCalls);

/// <param name="Arguments">JSON.</param>
internal sealed record WholeToolCall(string Id, string Name, string Arguments);

/// <summary>Gathers a run into whole choices.</summary>
internal static class WholeChoices
{
    public static async Task<WholeChoice[]> CollectAsync(TextRun run, CancellationToken cancellationToken)
    {
        var texts = new StringBuilder[run.Choices];
        var entries = new List<TokenLogProbEntry>[run.Choices];
        var calls = new List<(string Id, string Name, StringBuilder Arguments)>[run.Choices];
        var last = new ChoiceDelta[run.Choices];
        for (int i = 0; i < run.Choices; i++)
        {
            (texts[i], entries[i], calls[i]) = (new StringBuilder(), [], []);
        }
        await foreach (var delta in run.Deltas.ReadAllAsync(cancellationToken))
        {
            texts[delta.Choice].Append(delta.Text);
            entries[delta.Choice].AddRange(delta.LogProbs);
            last[delta.Choice] = delta;
            foreach (var call in delta.ToolCalls)
            {
                if (call.Id is not null)
                {
                    calls[delta.Choice].Add((call.Id, call.Name!, new StringBuilder()));
                }
                calls[delta.Choice][^1].Arguments.Append(call.Arguments);
            }
        }
        return [.. texts.Select((text, i) => new WholeChoice(text.ToString(), entries[i], last[i].FinishReason!, last[i].StopText,
            [.. calls[i].Select(call => new WholeToolCall(call.Id, call.Name, call.Arguments.ToString()))]))];
    }
}
