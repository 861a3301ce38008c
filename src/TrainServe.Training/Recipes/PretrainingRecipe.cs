namespace TrainServe.Training.Recipes;

/// <summary>What <c>trainserve pretrain</c> does, given the data.</summary>
public sealed record PretrainingRecipe : IRecipeSection
{
    /// <summary>Decides first weights, order of the data and dropout.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>Needed when no tokenizer is given.</summary>
    public TokenizerSection? Tokenizer { get; init; }

    /// <summary>The shape of a new model; not set when training goes on from one.</summary>
    public ModelSection? Model { get; init; }
    public PretrainingDataSection Data { get; init; } = new();
    public required TrainingSection Training { get; init; }
    public OptimizerSection Optimizer { get; init; } = new();
    public ValidationSection Validation { get; init; } = new();

    [FreeOnResume]
    public CheckpointSection Checkpoint { get; init; } = new();

    public void Check(RecipeRules rules) => rules.Require(
        Model?.MaxPositionEmbeddings is not { } positions || positions >= Data.SequenceLength,
        "model.max_position_embeddings", Model?.MaxPositionEmbeddings, $"must be at least data.sequence_length, {Data.SequenceLength}");
}
