using TrainServe.Core.Random;

namespace TrainServe.Evaluation.Metrics;

/// <summary>How certain a difference is that was found on the same questions.</summary>
/// <remarks>
/// Efron and Tibshirani 1993, chapter 13: percentile intervals. Whole clusters are drawn, with replacement: pairs that share a prompt are not independent, and drawing them one by
/// one would make the interval too narrow.
/// </remarks>
public static class PairedBootstrap
{
    private const int Resamples = 4000;

    /// <summary>A 95 % interval of a mean difference.</summary>
    /// <param name="differences">One model's result less the other's, of each question; at least one.</param>
    /// <param name="clusters">What each question belongs to; as many as differences.</param>
    /// <param name="seed">The same seed gives the same interval.</param>
    public static Interval Of(IReadOnlyList<double> differences, IReadOnlyList<string> clusters, ulong seed = 1)
    {
        ArgumentOutOfRangeException.ThrowIfZero(differences.Count, nameof(differences));
        ArgumentOutOfRangeException.ThrowIfNotEqual(clusters.Count, differences.Count, nameof(clusters));
        (double Sum, int Count)[] parts = [.. differences.Zip(clusters).GroupBy(pair => pair.Second, pair => pair.First, StringComparer.Ordinal).Select(group => (group.Sum(), group.Count()))];
        var random = new PhiloxRandom(seed);
        double[] means = new double[Resamples];
        for (int i = 0; i < Resamples; i++)
        {
            double sum = 0;
            int count = 0;
            for (int draw = 0; draw < parts.Length; draw++)
            {
                var part = parts[random.NextInt32(parts.Length)];
                (sum, count) = (sum + part.Sum, count + part.Count);
            }
            means[i] = sum / count;
        }
        Array.Sort(means);
        return new Interval(means[(int)(0.025 * Resamples)], means[(int)(0.975 * Resamples) - 1]);
    }
}
