using TrainServe.Training.Recipes;

namespace TrainServe.Training.ConstitutionalAi;

/// <summary>One principle of a constitution, in the three sentences that a model is given.</summary>
public sealed record Principle : IRecipeSection
{
    /// <summary>What records call it.</summary>
    public required string Name { get; init; }

    /// <summary>Asks the model to criticize its last answer.</summary>
    public required string Critique { get; init; }

    /// <summary>Asks it to write the answer anew.</summary>
    public required string Revision { get; init; }

    /// <summary>Asks which of two answers is better.</summary>
    public required string Comparison { get; init; }

    public void Check(RecipeRules rules)
    {
        foreach (var (name, text) in new[] { (nameof(Name), Name), (nameof(Critique), Critique), (nameof(Revision), Revision), (nameof(Comparison), Comparison) })
        {
            rules.Require(!string.IsNullOrWhiteSpace(text), name, "empty", "must say something");
        }
    }
}

/// <summary>A written constitution: what answers should be like.</summary>
/// <remarks>Bai et al. 2022, arXiv:2212.08073.</remarks>
public sealed record Constitution : IRecipeSection
{
    public required IReadOnlyList<Principle> Principles { get; init; }

    public void Check(RecipeRules rules)
    {
        rules.Require(Principles.Count > 0, nameof(Principles), "an empty list", "must have at least one item");
        rules.Require(Principles.Select(principle => principle.Name).Distinct(StringComparer.Ordinal).Count() == Principles.Count, nameof(Principles), "a list in which a name comes twice", "must give each principle a name of its own");
    }
}
