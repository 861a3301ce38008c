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

    /// <summary>Looking back comes first, on bare lists in rows as short as they are: where stories were among them, it did not form in the same time.</summary>
    public PretrainingRecipe Recall => Lists(RecallSteps) with { Model = Shape(width: 64, layers: 3, heads: 2) };

    /// <summary>Next-token training: on the user's own text most of the time, of the small world on lists that are spelled out, until what is said in one way is recalled in another.</summary>
    public PretrainingRecipe Pretraining => Data is null
        ? Lists(SpelledSteps)
        : Recipe(300 * TrainingMinutes) with { Model = Shape(width: 128, layers: 4, heads: 4), Data = new PretrainingDataSection { SequenceLength = Columns, ValidationFraction = 0.05, SkipBadRecords = true } };

    public FineTuningRecipe FineTuning => new()
    {
        Seed = Seed,
        Data = new ConversationDataSection { SequenceLength = Columns, ValidationFraction = Data is null ? 0.005 : 0.05, SkipBadRecords = Data is not null },
        Training = new TrainingSection { Steps = Whole(FineTuningSteps), BatchRows = Rows },
        Optimizer = Data is null ? Muon with { LearningRate = 2e-3, MinLearningRate = 1e-4 } : Optimizer with { LearningRate = 3e-4, MinLearningRate = 3e-5 },
        Validation = Measuring(FineTuningSteps),
        Checkpoint = new CheckpointSection { EverySeconds = 30 },
    };

    private static OptimizerSection Optimizer => new() { LearningRate = 3e-3, MinLearningRate = 1e-4, WarmupSteps = 50, Beta2 = 0.99 };

    // With Muon lists and stories were learned from half the tokens that AdamW needed.
    private static OptimizerSection Muon => Optimizer with { Kind = OptimizerKind.Muon };

    private double RecallSteps => Math.Min(200 * TrainingMinutes, 2500);

    private double SpelledSteps => Math.Min(350 * TrainingMinutes, 7000);

    // Looking back is learned once; what longer plans have more of goes to the conversations. Lists make 1,300 steps a minute, conversations 1,250.
    private double FineTuningSteps => Data is null ? 1250 * (TrainingMinutes - (RecallSteps + SpelledSteps) / 1300) : 100 * TrainingMinutes;

    // Training takes what the other stages leave, which need about two minutes whatever the plan.
    private double TrainingMinutes => Math.Max(0.02, Minutes - 2);

    private PretrainingRecipe Lists(double steps) => Recipe(steps, rows: 2 * Rows) with
    {
        Data = new PretrainingDataSection { SequenceLength = Columns / 2, ValidationFraction = 0.005 },
        Optimizer = Muon with { LearningRate = 4e-3, MinLearningRate = 1e-3 },
    };

    private PretrainingRecipe Recipe(double steps, int rows = Rows) => new()
    {
        Seed = Seed,
        Training = new TrainingSection { Steps = Whole(steps), BatchRows = rows },
        Optimizer = Optimizer,
        Validation = Measuring(steps),
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

    private static ValidationSection Measuring(double steps) => new() { EverySteps = Math.Max(1, Whole(steps) / 8), Patience = int.MaxValue, MaxRows = 64 };

    private static int Whole(double steps) => Math.Max(2, (int)steps);
}
