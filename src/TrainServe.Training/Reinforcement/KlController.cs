using TrainServe.Training.Recipes;

namespace TrainServe.Training.Reinforcement;

/// <summary>The weight of the divergence from the reference.</summary>
/// <remarks>Ziegler et al. 2019, arXiv:1909.08593, section 2.2: a proportional controller in log-space, with the error limited to a fifth on either side.</remarks>
public sealed class KlController(KlSection settings)
{
    public double Coefficient { get; set; } = settings.Coefficient;

    /// <param name="klPerAnswer">Mean over a step's answers, nats.</param>
    /// <param name="answers">How many.</param>
    public void Observe(double klPerAnswer, int answers)
    {
        if (settings.Control == KlControlKind.Adaptive && double.IsFinite(klPerAnswer))
        {
            Coefficient *= 1 + Math.Clamp(klPerAnswer / settings.Target - 1, -0.2, 0.2) * answers / settings.Horizon;
        }
    }
}

/// <summary>Notices a divergence that stays below 0, which none can: sampler and trainer then disagree.</summary>
public sealed class NegativeKlAlarm
{
    /// <summary>Steps in a row before it is said.</summary>
    public const int Patience = 8;

    public int StepsInARow { get; set; }

    /// <returns>A sentence when it is time to say it.</returns>
    public string? Observe(double klPerAnswer)
    {
        StepsInARow = klPerAnswer < 0 ? StepsInARow + 1 : 0;
        return StepsInARow > 0 && StepsInARow % Patience == 0
            ? $"the divergence from the reference was below 0 for {StepsInARow} steps, last {klPerAnswer:G3} nats an answer. A true one cannot be: sampling and training disagree, or answers are cut."
            : null;
    }
}
