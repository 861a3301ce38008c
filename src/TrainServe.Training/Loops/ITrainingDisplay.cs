using TrainServe.Training.Data;

namespace TrainServe.Training.Loops;

/// <summary>A step as it is shown.</summary>
public sealed record StepReport(long Step, long TotalSteps, double Loss, double LearningRate, double GradientNorm, double TokensPerSecond, TimeSpan Remaining, bool IsSkipped)
{
    /// <summary>What else the stage says of the step, by name: a reward, a divergence.</summary>
    public IReadOnlyDictionary<string, double> Scalars { get; init; } = new Dictionary<string, double>(StringComparer.Ordinal);
}

/// <summary>Shows a person how a run goes.</summary>
public interface ITrainingDisplay : IDisposable
{
    /// <summary>A sentence: what is done before training, what was skipped, what was saved.</summary>
    void Note(string sentence);

    void Step(StepReport report);

    /// <param name="step">Steps done.</param>
    /// <param name="result">The losses.</param>
    /// <param name="isBest">Whether no loss before was as low.</param>
    void Validation(long step, MeasuredLoss result, bool isBest);
}
