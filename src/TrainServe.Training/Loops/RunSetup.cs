using TrainServe.Training.Checkpointing;
using TrainServe.Training.Distributed;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.Loops;

/// <summary>What training of every kind runs on.</summary>
public abstract record RunSetup
{
    public required ValidationSection Measuring { get; init; }
    public required CheckpointSection Saving { get; init; }
    public required RunIdentity Identity { get; init; }

    /// <summary>For checkpoints and metrics; the caller holds its <see cref="RunLock"/>.</summary>
    public required string Directory { get; init; }
    public required TimeProvider Time { get; init; }
    public required ITrainingDisplay Display { get; init; }

    /// <summary>The processes that share every step. The first of them alone writes.</summary>
    public IProcessGroup Processes { get; init; } = SingleProcess.Instance;
}
