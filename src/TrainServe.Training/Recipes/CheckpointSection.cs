namespace TrainServe.Training.Recipes;

/// <summary>When the state is saved. None of it changes a run's numbers.</summary>
public sealed record CheckpointSection : IRecipeSection
{
    /// <summary>After so many steps; 0 goes by time only.</summary>
    public int EverySteps { get; init; }

    /// <summary>After so many seconds; 0 goes by steps only.</summary>
    public double EverySeconds { get; init; } = 600;

    /// <summary>How many are kept.</summary>
    public int Keep { get; init; } = 2;

    public void Check(RecipeRules rules)
    {
        rules.Range(nameof(EverySteps), EverySteps, 0);
        rules.NotNegative(nameof(EverySeconds), EverySeconds);
        rules.Range(nameof(Keep), Keep, 2);
    }
}
