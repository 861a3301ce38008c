using TrainServe.Core.Packaging;

namespace TrainServe.Training.Loops;

/// <summary>A stage of training, ready to begin.</summary>
public interface ITrainingRun : IDisposable
{
    TrainingPlan Plan { get; }

    /// <summary>Trains, and, unless it is interrupted, writes the model with the best weights.</summary>
    /// <param name="stop">The request to save and stop.</param>
    /// <returns>How it ended, and the model, if there is one.</returns>
    (TrainingOutcome Outcome, ModelPackage? Package) Run(CancellationToken stop);
}
