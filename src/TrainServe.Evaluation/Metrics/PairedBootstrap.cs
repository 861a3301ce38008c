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
    public static Interval Of(IReadOnlyList<double> differences, IReadOnlyList<string> clusters, ulong seed = 1) => Of(differences, clusters, new bool[differences.Count], seed);

    /// <summary>A 95 % interval of the middle between two groups' mean differences.</summary>
    /// <param name="differences">One model's result less the other's, of each question; at least one.</param>
    /// <param name="clusters">What each question belongs to; as many as differences.</param>
    /// <param name="groups">Which of two groups each question is of. Where one has none, in all questions or in what was drawn, the other's mean counts alone.</param>
    /// <param name="seed">The same seed gives the same interval.</param>
    public static Interval Of(IReadOnlyList<double> differences, IReadOnlyList<string> clusters, IReadOnlyList<bool> groups, ulong seed = 1)
    {
        ArgumentOutOfRangeException.ThrowIfZero(differences.Count, nameof(differences));
        ArgumentOutOfRangeException.ThrowIfNotEqual(clusters.Count, differences.Count, nameof(clusters));
        ArgumentOutOfRangeException.ThrowIfNotEqual(groups.Count, differences.Count, nameof(groups));
        Sums[] parts = [.. Enumerable.Range(0, differences.Count).GroupBy(place => clusters[place], StringComparer.Ordinal).Select(cluster => cluster.Aggregate(default(Sums), (sums, place) => sums + Sums.Of(differences[place], groups[place])))];
        var random = new PhiloxRandom(seed);
        double[] means = new double[Resamples];
        for (int i = 0; i < Resamples; i++)
        {
            var drawn = default(Sums);
            for (int draw = 0; draw < parts.Length; draw++)
            {
                drawn += parts[random.NextInt32(parts.Length)];
            }
            means[i] = drawn.Mean;
        }
        Array.Sort(means);
        return new Interval(means[(int)(0.025 * Resamples)], means[(int)(0.975 * Resamples) - 1]);
    }

    /// <summary>Sums and counts of both groups.</summary>
    private readonly record struct Sums(double First, int FirstCount, double Second, int SecondCount)
    {
        public double Mean => FirstCount == 0 ? Second / SecondCount : SecondCount == 0 ? First / FirstCount : (First / FirstCount + Second / SecondCount) / 2;

        public static Sums Of(double value, bool isSecond) => isSecond ? new(0, 0, value, 1) : new(value, 1, 0, 0);

        public static Sums operator +(Sums a, Sums b) => new(a.First + b.First, a.FirstCount + b.FirstCount, a.Second + b.Second, a.SecondCount + b.SecondCount);
    }
}
