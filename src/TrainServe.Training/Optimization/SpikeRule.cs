namespace TrainServe.Training.Optimization;

/// <summary>Which steps are skipped because their gradient is far longer than those before it.</summary>
/// <param name="factor">A step whose norm is above so many times the running mean is skipped; 0 skips none.</param>
internal readonly struct SpikeRule(double factor)
{
    // Until there is a mean worth the name, every finite norm will do.
    private const int UpdatesBefore = 20;

    // Of a new norm, in the mean.
    private const double Part = 0.02;

    /// <summary>The largest norm that is not a spike.</summary>
    /// <param name="mean">Running mean of the norms before; null before the first.</param>
    /// <param name="updates">How many there were.</param>
    public double Limit(double? mean, long updates) => factor > 0 && updates >= UpdatesBefore && mean is { } known ? factor * known : double.PositiveInfinity;

    /// <summary>The mean after another norm. A spike counts as the limit, so that norms that stay higher are accepted after a while.</summary>
    public static double? Mean(double? mean, double norm, double limit)
    {
        double counted = Math.Min(norm, limit);
        return !double.IsFinite(counted) ? mean : mean is { } known ? known + Part * (counted - known) : counted;
    }
}
