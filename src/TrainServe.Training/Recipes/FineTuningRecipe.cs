namespace TrainServe.Training.Recipes;

/// <summary>What <c>trainserve sft</c> does, given a model and conversations.</summary>
public sealed record FineTuningRecipe : IRecipeSection
{
    /// <summary>Decides order of the data and dropout.</summary>
    public ulong Seed { get; init; } = 1;
    public ConversationDataSection Data { get; init; } = new();
    public required TrainingSection Training { get; init; }

    /// <summary>Noise on the embeddings while training (NEFTune), 5 in the paper; 0 for none.</summary>
    public double NeftuneAlpha { get; init; }

    /// <summary>Learns low-rank adapters instead of all weights; not set learns all.</summary>
    public LoraSection? Lora { get; init; }
    public OptimizerSection Optimizer { get; init; } = new() { LearningRate = 3e-4, MinLearningRate = 3e-5, WarmupSteps = 20 };
    public ValidationSection Validation { get; init; } = new();

    [FreeOnResume]
    public CheckpointSection Checkpoint { get; init; } = new();

    public void Check(RecipeRules rules) => rules.NotNegative(nameof(NeftuneAlpha), NeftuneAlpha);
}
