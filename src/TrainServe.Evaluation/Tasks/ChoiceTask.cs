using TrainServe.Core.Data;
using TrainServe.Core.Scoring;
using TrainServe.Evaluation.Metrics;

namespace TrainServe.Evaluation.Tasks;

/// <summary>Multiple choice by likelihood: the answer with the highest log-probability is the model's.</summary>
/// <remarks>
/// The harness's two accuracies: by the sum of log-probabilities, and by that sum divided by the answer's length in characters. Another answer that is as likely as the right one makes
/// a question wrong. Where every question has a single option, as LAMBADA's have, it is right when each of its tokens is the most likely one.
/// </remarks>
public static class ChoiceTask
{
    public static TaskResult Run(IReadOnlyList<ChoiceItem> items, ILanguageScorer scorer, PairEncoding encoding, CancellationToken cancellationToken = default)
    {
        var requests = items.SelectMany(item => item.Options.Select(option => Encode(encoding, item, option))).ToList();
        var scored = scorer.Score(requests, cancellationToken);
        RequireNumbers(items, scored);
        return items.All(item => item.Options.Count == 1) ? Completions(items, scored, encoding) : Choices(items, scored, encoding);
    }

    /// <summary>Whether the right answer is above every other one.</summary>
    /// <param name="values">Of the answers.</param>
    /// <param name="gold">The right one.</param>
    internal static bool IsRight(IReadOnlyList<double> values, int gold) => values.Where((_, index) => index != gold).All(value => values[gold] > value);

    private static TaskResult Choices(IReadOnlyList<ChoiceItem> items, IReadOnlyList<ScoredContinuation> scored, PairEncoding encoding)
    {
        int right = 0, rightByLength = 0, start = 0;
        var prejudices = new PrejudiceCount();
        var groups = new SortedDictionary<string, (int Right, int Count)>(StringComparer.Ordinal);
        foreach (var item in items)
        {
            double[] sums = [.. item.Options.Select((_, index) => scored[start + index].Sum)];
            double[] normal = [.. sums.Select((sum, index) => sum / Math.Max(1, item.Options[index].Text.Length))];
            start += item.Options.Count;
            bool isRight = IsRight(sums, item.Gold);
            right += isRight ? 1 : 0;
            rightByLength += IsRight(normal, item.Gold) ? 1 : 0;
            prejudices.Add(item, Array.IndexOf(sums, sums.Max()));
            if (item.Group is { } group)
            {
                var (before, count) = groups.GetValueOrDefault(group);
                groups[group] = (before + (isRight ? 1 : 0), count + 1);
            }
        }
        return new TaskResult
        {
            Kind = "choice",
            Count = items.Count,
            Metrics = new Dictionary<string, double>(prejudices.Metrics(), StringComparer.Ordinal)
            {
                ["accuracy"] = (double)right / items.Count,
                ["accuracy_by_length"] = (double)rightByLength / items.Count,
                ["chance"] = items.Average(item => 1.0 / item.Options.Count),
                ["truncated"] = encoding.Truncated,
            },
            Intervals = new Dictionary<string, Interval>(StringComparer.Ordinal) { ["accuracy"] = Interval.Wilson(right, items.Count), ["accuracy_by_length"] = Interval.Wilson(rightByLength, items.Count) },
            Groups = groups.Count == 0 ? null : groups.ToDictionary(group => group.Key, group => (double)group.Value.Right / group.Value.Count, StringComparer.Ordinal),
        };
    }

    private static TaskResult Completions(IReadOnlyList<ChoiceItem> items, IReadOnlyList<ScoredContinuation> scored, PairEncoding encoding)
    {
        int right = scored.Count(found => found.IsGreedy);
        var metrics = new Dictionary<string, double>(StringComparer.Ordinal) { ["accuracy"] = (double)right / items.Count, ["truncated"] = encoding.Truncated };
        // A word's, as the harness has it for LAMBADA.
        TextTask.AddPerplexity(metrics, "perplexity", -scored.Average(found => found.Sum));
        return new TaskResult
        {
            Kind = "completion",
            Count = items.Count,
            Metrics = metrics,
            Intervals = new Dictionary<string, Interval>(StringComparer.Ordinal) { ["accuracy"] = Interval.Wilson(right, items.Count) },
        };
    }

    // What is no number is neither more nor less likely than anything.
    private static void RequireNumbers(IReadOnlyList<ChoiceItem> items, IReadOnlyList<ScoredContinuation> scored)
    {
        foreach (var (item, found) in items.SelectMany(item => item.Options.Select(_ => item)).Zip(scored))
        {
            if (double.IsNaN(found.Sum))
            {
                throw new InvalidDataException($"{item.Origin}: the model gives no number to an answer; its weights are damaged or too large.");
            }
        }
    }

    private static ScoringRequest Encode(PairEncoding encoding, ChoiceItem item, ChoiceOption option)
    {
        try
        {
            return encoding.Encode(option.Context, option.Continuation);
        }
        catch (InvalidDataException error)
        {
            throw new InvalidDataException($"{item.Origin}: {error.Message}", error);
        }
    }
}
