namespace TrainServe.Evaluation.Metrics;

/// <summary>A 95 % interval.</summary>
public sealed record Interval(double Low, double High)
{
    private const double Z = 1.959963984540054;

    /// <summary>Of a proportion, by Wilson's score.</summary>
    /// <remarks>Wilson 1927; good also for few observations and proportions near 0 and 1.</remarks>
    /// <param name="successes">May have halves, for ties.</param>
    /// <param name="count">At least 1.</param>
    public static Interval Wilson(double successes, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        double p = successes / count, square = Z * Z, denominator = 1 + square / count;
        double centre = (p + square / (2 * count)) / denominator, half = Z * Math.Sqrt(p * (1 - p) / count + square / (4.0 * count * count)) / denominator;
        return new Interval(Math.Max(0, centre - half), Math.Min(1, centre + half));
    }
}
