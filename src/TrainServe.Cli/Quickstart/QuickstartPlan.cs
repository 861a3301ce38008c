using TrainServe.Training.Recipes;

namespace TrainServe.Cli.Quickstart;

/// <summary>What a quickstart does. Steps follow from the minutes that were asked for, not from the clock, so that the same command gives the same model everywhere.</summary>
/// <remarks>The steps a minute are those of two cores without other work; see tests/TrainServe.Benchmarks/RESULTS.md.</remarks>
public sealed record QuickstartPlan
{
    private const int Rows = 16, Columns = 128;

    /// <summary>The user's own text; null for the small world.</summary>
    public string? Data { get; init; }
    public double Minutes { get; init; } = 12;
    public ulong Seed { get; init; } = 1;

    /// <summary>How the model is aligned afterwards; null ends with the fine-tuned one.</summary>
    public AlignmentMethod? Align { get; init; }

    /// <summary>The stages after the quickstart's own; null where there are none.</summary>
    public AlignmentPlan? Alignment => Align is { } method ? new AlignmentPlan(method, AlignmentPlan.Share * Minutes, Seed) : null;

    /// <summary>Stories, and conversations, of the small world: enough that none is read more than about twice.</summary>
    public int WorldSize => Math.Clamp((int)(15_000 * TrainingMinutes), 1000, 500_000);

    public int VocabSize => Data is null ? 1000 : 2048;

    /// <summary>Looking back comes first, in rows as short as the lists: where stories were among them, it did not form in the same time.</summary>
    public PretrainingRecipe Recall => Recipe(stepsPerMinute: 500, rows: 2 * Rows) with
    {
        Model = Shape(width: 64, layers: 3, heads: 2),
        Data = new PretrainingDataSection { SequenceLength = 64, ValidationFraction = 0.005 },
        Optimizer = Optimizer with { MinLearningRate = 1e-3 },
    };

    /// <summary>Next-token training: on the user's own text most of the time, on the small world until its sentences are known.</summary>
    public PretrainingRecipe Pretraining => Data is null
        ? Recipe(stepsPerMinute: 150) with { Optimizer = Optimizer with { LearningRate = 2e-3, MinLearningRate = 1e-3 } }
        : Recipe(stepsPerMinute: 300) with { Model = Shape(width: 128, layers: 4, heads: 4), Data = new PretrainingDataSection { SequenceLength = Columns, ValidationFraction = 0.05, SkipBadRecords = true } };

    public FineTuningRecipe FineTuning => new()
    {
        Seed = Seed,
        Data = new ConversationDataSection { SequenceLength = Columns, ValidationFraction = Data is null ? 0.005 : 0.05, SkipBadRecords = Data is not null },
        Training = new TrainingSection { Steps = Steps(FineTuningStepsPerMinute), BatchRows = Rows },
        Optimizer = Data is null ? Optimizer with { LearningRate = 2e-3 } : Optimizer with { LearningRate = 3e-4, MinLearningRate = 3e-5 },
        Validation = Measuring(FineTuningStepsPerMinute),
        Checkpoint = new CheckpointSection { EverySeconds = 30 },
    };

    private static OptimizerSection Optimizer => new() { LearningRate = 3e-3, MinLearningRate = 1e-4, WarmupSteps = 50, Beta2 = 0.99 };

    private double FineTuningStepsPerMinute => Data is null ? 1500 : 100;

    // Training takes what the other stages leave, which need about two minutes whatever the plan.
    private double TrainingMinutes => Math.Max(0.02, Minutes - 2);

    private PretrainingRecipe Recipe(double stepsPerMinute, int rows = Rows) => new()
    {
        Seed = Seed,
        Data = new PretrainingDataSection { SequenceLength = Columns, ValidationFraction = 0.005 },
        Training = new TrainingSection { Steps = Steps(stepsPerMinute), BatchRows = rows },
        Optimizer = Optimizer,
        Validation = Measuring(stepsPerMinute),
        Checkpoint = new CheckpointSection { EverySeconds = 30 },
    };

    // Weights that are larger than the usual 0.02 let attention prefer some words from the first step on: with 0.02 nothing was recalled in the same time.
    private static ModelSection Shape(int width, int layers, int heads) => new()
    {
        HiddenSize = width,
        IntermediateSize = width * 11 / 4,
        NumHiddenLayers = layers,
        NumAttentionHeads = heads,
        NumKeyValueHeads = heads,
        MaxPositionEmbeddings = 256,
        InitializerRange = 0.08f,
    };

    private ValidationSection Measuring(double stepsPerMinute) => new() { EverySteps = Math.Max(1, Steps(stepsPerMinute) / 8), Patience = int.MaxValue, MaxRows = 64 };

    private int Steps(double perMinute) => Math.Max(2, (int)(perMinute * TrainingMinutes));
}
