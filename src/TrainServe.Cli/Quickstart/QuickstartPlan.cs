using TrainServe.Training.Recipes;

namespace TrainServe.Cli.Quickstart;

/// <summary>What a quickstart does. Steps follow from the minutes that were asked for, not from the clock, so that the same command gives the same model everywhere.</summary>
/// <remarks>The steps a minute are those of two cores without other work; see tests/TrainServe.Benchmarks/RESULTS.md.</remarks>
public sealed record QuickstartPlan
{
    /// <summary>The user's own text; null for the small world.</summary>
    public string? Data { get; init; }
    public double Minutes { get; init; } = 12;
    public ulong Seed { get; init; } = 1;

    // Training takes what the other stages leave, which need about two minutes whatever the plan.
    private double TrainingMinutes => Math.Max(0.02, Minutes - 2);

    /// <summary>Stories, and conversations, of the small world: enough that no epoch is read twice.</summary>
    public int WorldSize => Math.Clamp((int)(14_000 * TrainingMinutes), 1000, 600_000);

    public int VocabSize => Data is null ? 700 : 2048;

    /// <summary>Next-token training: on the user's own text most of the time, on the small world just until the words are known.</summary>
    public PretrainingRecipe Pretraining => new()
    {
        Seed = Seed,
        Model = Data is null
            ? new ModelSection { HiddenSize = 64, IntermediateSize = 176, NumHiddenLayers = 3, NumAttentionHeads = 2, NumKeyValueHeads = 2, MaxPositionEmbeddings = 256, InitializerRange = 0.08f }
            : new ModelSection { HiddenSize = 128, IntermediateSize = 352, NumHiddenLayers = 4, NumAttentionHeads = 4, NumKeyValueHeads = 4, MaxPositionEmbeddings = 256, InitializerRange = 0.08f },
        Data = new PretrainingDataSection { SequenceLength = 128, ValidationFraction = Data is null ? 0.005 : 0.05, SkipBadRecords = Data is not null },
        Training = new TrainingSection { Steps = Steps(Data is null ? 100 : 200), BatchRows = 16 },
        Optimizer = Optimizer,
        Validation = new ValidationSection { EverySteps = Math.Max(1, Steps(Data is null ? 100 : 200) / 4), Patience = int.MaxValue, MaxRows = 64 },
        Checkpoint = new CheckpointSection { EverySeconds = 30 },
    };

    public FineTuningRecipe FineTuning => new()
    {
        Seed = Seed,
        Data = new ConversationDataSection { SequenceLength = 128, ValidationFraction = Data is null ? 0.005 : 0.05, SkipBadRecords = Data is not null },
        Training = new TrainingSection { Steps = Steps(Data is null ? 800 : 100), BatchRows = 16 },
        Optimizer = Data is null ? Optimizer : Optimizer with { LearningRate = 3e-4, MinLearningRate = 3e-5 },
        Validation = new ValidationSection { EverySteps = Math.Max(1, Steps(Data is null ? 800 : 100) / 8), Patience = int.MaxValue, MaxRows = 64 },
        Checkpoint = new CheckpointSection { EverySeconds = 30 },
    };

    private static OptimizerSection Optimizer => new() { LearningRate = 3e-3, MinLearningRate = 1e-4, WarmupSteps = 50, Beta2 = 0.99 };

    private int Steps(double perMinute) => Math.Max(2, (int)(perMinute * TrainingMinutes));
}
