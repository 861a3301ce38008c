namespace TrainServe.Training.Recipes;

/// <summary>What recipes have in common that learn from preference pairs.</summary>
public interface IPreferenceRecipe : IRecipeSection
{
    ulong Seed { get; }
    PreferenceDataSection Data { get; }
    TrainingSection Training { get; }
    ValidationSection Validation { get; }
    CheckpointSection Checkpoint { get; }
}
