namespace TrainServe.Training.Optimization;

/// <summary>The best validation so far, and how long ago it was.</summary>
/// <param name="BestLoss">Null before the first.</param>
/// <param name="BestStep">Steps done when it was measured.</param>
/// <param name="WithoutImprovement">Measurements since then.</param>
public sealed record EarlyStopping(double? BestLoss = null, long BestStep = 0, int WithoutImprovement = 0)
{
    /// <summary>After another measurement. A loss that is no finite number is no improvement.</summary>
    public EarlyStopping After(double loss, long step) => BestLoss is null ? !double.IsFinite(loss) ? this with { WithoutImprovement = WithoutImprovement + 1 } : new(loss, step)
        : loss < BestLoss ? new(loss, step)
        : this with { WithoutImprovement = WithoutImprovement + 1 };

    /// <param name="patience">Measurements without improvement that are allowed; 0 for any number.</param>
    public bool ShouldStop(int patience) => patience > 0 && WithoutImprovement >= patience;
}
