namespace TrainServe.Training.Recipes;

/// <summary>Measuring the loss on text that is not trained on.</summary>
public sealed record ValidationSection : IRecipeSection
{
    /// <summary>How often; always also after the last step.</summary>
    public int EverySteps { get; init; } = 100;

    /// <summary>At most so many rows of each source; 0 is all of them.</summary>
    public int MaxRows { get; init; }

    /// <summary>Measurements in a row without a better loss, after which the run stops; 0 never stops early. The best weights are kept in any case.</summary>
    public int Patience { get; init; }

    public void Check(RecipeRules rules)
    {
        rules.Range(nameof(EverySteps), EverySteps, 1);
        rules.Range(nameof(MaxRows), MaxRows, 0);
        rules.Range(nameof(Patience), Patience, 0);
    }
}
