using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.Core.Scoring;
using TrainServe.Evaluation.Metrics;

namespace TrainServe.Evaluation.Tasks;

/// <summary>How often a reward model scores the better of two answers higher. A tie is not right.</summary>
public static class PreferenceTask
{
    public static TaskResult Run(IReadOnlyList<PreferencePair> pairs, IRewardScorer scorer, ChatTemplate template, CancellationToken cancellationToken = default)
    {
        int[][] chosen = [.. pairs.Select(pair => template.Encode([.. pair.Prompt, pair.Chosen]).Ids)], rejected = [.. pairs.Select(pair => template.Encode([.. pair.Prompt, pair.Rejected]).Ids)];
        int[] kept = [.. Enumerable.Range(0, pairs.Count).Where(index => Math.Max(chosen[index].Length, rejected[index].Length) <= scorer.ContextLength)];
        if (kept.Length == 0)
        {
            throw new InvalidDataException($"Of {pairs.Count} pairs none fits the reward model's context of {scorer.ContextLength} tokens.");
        }
        var better = scorer.Score([.. kept.Select(index => chosen[index])], cancellationToken);
        var other = scorer.Score([.. kept.Select(index => rejected[index])], cancellationToken);
        double[] differences = [.. better.Zip(other, (one, two) => one - two)];
        bool[] isLonger = [.. kept.Select(index => chosen[index].Length > rejected[index].Length)];
        return Of(differences, isLonger, pairs.Count - kept.Length);
    }

    /// <param name="differences">Scores of better answers less the others'.</param>
    /// <param name="isLonger">Whether the better answer is the longer one.</param>
    /// <param name="overLong">Pairs that were left out.</param>
    internal static TaskResult Of(double[] differences, bool[] isLonger, int overLong)
    {
        int right = differences.Count(difference => difference > 0);
        // Half of the weight on pairs whose better answer is longer, and half on the rest: length alone gives one half.
        double Part(bool longer)
        {
            double[] some = [.. differences.Where((_, index) => isLonger[index] == longer)];
            return some.Length == 0 ? double.NaN : (double)some.Count(difference => difference > 0) / some.Length;
        }
        double balanced = (Part(true) + Part(false)) / 2;
        var metrics = new Dictionary<string, double>(StringComparer.Ordinal)
        {
            ["accuracy"] = (double)right / differences.Length,
            ["ties"] = (double)differences.Count(difference => difference == 0) / differences.Length,
            ["loss"] = differences.Average(difference => Math.Max(-difference, 0) + Math.Log(1 + Math.Exp(-Math.Abs(difference)))),
            ["over_long"] = overLong,
        };
        if (!double.IsNaN(balanced))
        {
            metrics["accuracy_length_balanced"] = balanced;
        }
        return new TaskResult
        {
            Kind = "preference",
            Count = differences.Length,
            Metrics = metrics,
            Intervals = new Dictionary<string, Interval>(StringComparer.Ordinal) { ["accuracy"] = Interval.Wilson(right, differences.Length) },
        };
    }
}
