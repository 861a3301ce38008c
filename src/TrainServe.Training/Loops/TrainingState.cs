using System.Globalization;
using TrainServe.Training.Data;
using TrainServe.Training.Optimization;

namespace TrainServe.Training.Loops;

/// <summary>Where a run is, beside weights and moments. Random numbers are functions of seed and step, so that no generator has a state to keep.</summary>
public sealed record TrainingState
{
    /// <summary>Steps done, skipped ones among them.</summary>
    public long Step { get; init; }

    /// <summary>What of the data was consumed.</summary>
    public required DataCursor Cursor { get; init; }

    /// <summary>Steps that changed the weights.</summary>
    public long Updates { get; init; }

    /// <summary>Steps that changed nothing, because their gradients were not finite or a spike.</summary>
    public long SkippedSteps { get; init; }
    public int SkippedInARow { get; init; }

    /// <summary>Running mean of the gradients' norms; null before the first.</summary>
    public double? MeanNorm { get; init; }

    /// <summary>Tokens learned from, over all steps.</summary>
    public long LearnedTokens { get; init; }

    /// <summary>Loss of the last step.</summary>
    public double? TrainLoss { get; init; }

    /// <summary>Steps done when the loss on held-out rows was measured last.</summary>
    public long? ValidatedStep { get; init; }

    /// <summary>The best measurement's losses by source.</summary>
    public IReadOnlyDictionary<string, double>? BestLosses { get; init; }
    public EarlyStopping Best { get; init; } = new();

    /// <summary>Time spent training, over all sessions.</summary>
    public double Seconds { get; init; }

    /// <summary>Where a resumed run stands, as a sentence.</summary>
    public string Standing(long totalSteps, int patience)
    {
        string situation = Step >= totalSteps ? "The run is finished: it is at" : Best.ShouldStop(patience) ? "The run is finished: it stopped early at" : "Training goes on from";
        return string.Create(CultureInfo.InvariantCulture, $"{situation} step {Step} of {totalSteps}.");
    }
}

/// <summary>How a loop ended.</summary>
public enum TrainingEnd
{
    /// <summary>All steps were done.</summary>
    Completed,

    /// <summary>The loss on held-out rows did not improve for as long as the recipe allows.</summary>
    StoppedEarly,

    /// <summary>A signal asked for it; the state was saved.</summary>
    Interrupted,
}

/// <summary>The end of a loop. The model holds the best weights, or, when it was interrupted, the last.</summary>
public sealed record TrainingOutcome(TrainingEnd End, TrainingState State);
