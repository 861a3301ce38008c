namespace TrainServe.Training.RewardModeling;

/// <summary>What differences of scores, better minus other, say of a reward model.</summary>
public sealed record PreferenceAccuracy
{
    private const int Bins = 10;

    /// <summary>The part of the pairs whose better answer scores higher. A tie is not right.</summary>
    public required double Accuracy { get; init; }

    /// <summary>The part of the pairs whose answers score the same.</summary>
    public required double Ties { get; init; }

    /// <summary>Mean of -log sigmoid(difference), nats.</summary>
    public required double Loss { get; init; }

    /// <summary>Expected calibration error: how far the confidence |sigmoid(difference) - 1/2| + 1/2 lies from the accuracy, over ten equal bins (Guo et al. 2017, arXiv:1706.04599, eq. 3).</summary>
    public required double CalibrationError { get; init; }

    /// <param name="differences">Of at least one pair.</param>
    public static PreferenceAccuracy Of(IReadOnlyList<double> differences)
    {
        ArgumentOutOfRangeException.ThrowIfZero(differences.Count, nameof(differences));
        double[] confidence = new double[Bins], right = new double[Bins], count = new double[Bins];
        foreach (double difference in differences)
        {
            // Confidence runs from a half to one.
            double certainty = Sigmoid(Math.Abs(difference));
            int bin = Math.Min(Bins - 1, (int)((certainty - 0.5) * 2 * Bins));
            confidence[bin] += certainty;
            right[bin] += difference > 0 ? 1 : 0;
            count[bin]++;
        }
        return new PreferenceAccuracy
        {
            Accuracy = right.Sum() / differences.Count,
            Ties = (double)differences.Count(difference => difference == 0) / differences.Count,
            Loss = MeanLoss(differences, 1),
            CalibrationError = Enumerable.Range(0, Bins).Sum(bin => Math.Abs(confidence[bin] - right[bin])) / differences.Count,
        };
    }

    /// <summary>The factor on scores that makes the mean loss least, were one pair in n + 2 labelled the other way.</summary>
    /// <remarks>
    /// Temperature scaling, Guo et al. 2017, with Platt's targets (1999): of n pairs that are all right nothing tells a large factor from a larger one, and scores would have no bound.
    /// The loss is convex in the factor: its logarithm is found by golden section.
    /// </remarks>
    public static double BestScale(IReadOnlyList<double> differences)
    {
        double low = Math.Log(0.01), high = Math.Log(100), ratio = (Math.Sqrt(5) - 1) / 2, other = 1.0 / (differences.Count + 2);
        double Smoothed(double scale) => (1 - other) * MeanLoss(differences, scale) + other * MeanLoss(differences, -scale);
        for (int i = 0; i < 60; i++)
        {
            double left = high - ratio * (high - low), right = low + ratio * (high - low);
            (low, high) = Smoothed(Math.Exp(left)) < Smoothed(Math.Exp(right)) ? (low, right) : (left, high);
        }
        return Math.Exp((low + high) / 2);
    }

    private static double MeanLoss(IReadOnlyList<double> differences, double scale) => differences.Average(difference => Softplus(-scale * difference));

    private static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));

    // log(1 + exp(x)) without overflow.
    private static double Softplus(double x) => Math.Max(x, 0) + Math.Log(1 + Math.Exp(-Math.Abs(x)));
}
