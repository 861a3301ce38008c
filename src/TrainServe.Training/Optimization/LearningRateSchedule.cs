using TrainServe.Training.Recipes;

namespace TrainServe.Training.Optimization;

/// <summary>How the learning rate goes from its highest to its last value.</summary>
public enum ScheduleKind
{
    /// <summary>Half a cosine.</summary>
    Cosine,

    /// <summary>Warm-up, stable, decay: constant, then linear over the last part.</summary>
    Wsd,

    /// <summary>A straight line.</summary>
    Linear,

    /// <summary>No change after warm-up.</summary>
    Constant,
}

/// <summary>The learning rate of every step: a linear warm-up, then a decay.</summary>
/// <remarks>Warm-up and cosine are nanoGPT's: step s of w warm-up steps has (s + 1) / (w + 1) of the highest rate. WSD: Hu et al. 2024, arXiv:2404.06395.</remarks>
/// <param name="Kind">The form of the decay.</param>
/// <param name="Peak">The rate at the end of warm-up.</param>
/// <param name="Final">The rate at the end.</param>
/// <param name="WarmupSteps">Steps of the warm-up.</param>
/// <param name="TotalSteps">All steps.</param>
/// <param name="DecayFraction">Of <see cref="ScheduleKind.Wsd"/>: the part of all steps that decays.</param>
public sealed record LearningRateSchedule(ScheduleKind Kind, double Peak, double Final, int WarmupSteps, long TotalSteps, double DecayFraction = 0.2)
{
    public static LearningRateSchedule Of(OptimizerSection optimizer, long totalSteps) =>
        new(optimizer.Schedule, optimizer.LearningRate, optimizer.MinLearningRate, optimizer.WarmupSteps, totalSteps, optimizer.DecayFraction);

    /// <param name="step">From 0.</param>
    public double At(long step)
    {
        if (step < WarmupSteps)
        {
            return Peak * (step + 1) / (WarmupSteps + 1);
        }
        // The part of the decay that is over, from 0 at the end of warm-up to 1 after the last step.
        long decaySteps = Kind == ScheduleKind.Wsd ? (long)Math.Round(TotalSteps * DecayFraction) : TotalSteps - WarmupSteps;
        double progress = decaySteps <= 0 ? 0 : Math.Clamp((double)(step - (TotalSteps - decaySteps)) / decaySteps, 0, 1);
        return Kind switch
        {
            ScheduleKind.Cosine => Final + (Peak - Final) * 0.5 * (1 + Math.Cos(Math.PI * progress)),
            ScheduleKind.Wsd or ScheduleKind.Linear => Peak + (Final - Peak) * progress,
            _ => Peak,
        };
    }
}
