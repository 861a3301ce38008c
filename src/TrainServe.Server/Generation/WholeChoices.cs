using System.Text;
using TrainServe.Server.Contracts;

namespace TrainServe.Server.Generation;

/// <summary>What all deltas of a choice add up to.</summary>
/// <param name="FinishReason">stop or length.</param>
/// <param name="StopText">The stop text that ended it, if one did.</param>
internal sealed record WholeChoice(string Text, IReadOnlyList<TokenLogProbEntry> LogProbs, string FinishReason, string? StopText);

/// <summary>Gathers a run into whole choices.</summary>
internal static class WholeChoices
{
    public static async Task<WholeChoice[]> CollectAsync(TextRun run, CancellationToken cancellationToken)
    {
        var texts = new StringBuilder[run.Choices];
        var entries = new List<TokenLogProbEntry>[run.Choices];
        var last = new ChoiceDelta[run.Choices];
        for (int i = 0; i < run.Choices; i++)
        {
            (texts[i], entries[i]) = (new StringBuilder(), []);
        }
        await foreach (var delta in run.Deltas.ReadAllAsync(cancellationToken))
        {
            texts[delta.Choice].Append(delta.Text);
            entries[delta.Choice].AddRange(delta.LogProbs);
            last[delta.Choice] = delta;
        }
        return [.. texts.Select((text, i) => new WholeChoice(text.ToString(), entries[i], last[i].FinishReason!, last[i].StopText))];
    }
}
