namespace TrainServe.Training.Recipes;

/// <summary>Fine-tuning by low-rank adapters: the weights stay, and small matrices beside them are learned.</summary>
public sealed record LoraSection : IRecipeSection
{
    /// <summary>The matrices that can have an adapter, by the names that Hugging Face's PEFT uses.</summary>
    public static IReadOnlyList<string> Known { get; } = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

    /// <summary>Rank of each adapter, r.</summary>
    public int Rank { get; init; } = 8;

    /// <summary>What an adapter adds is multiplied by alpha / r.</summary>
    public double Alpha { get; init; } = 16;

    /// <summary>Which matrices of every layer get one.</summary>
    public IReadOnlyList<string> Targets { get; init; } = Known;

    public void Check(RecipeRules rules)
    {
        rules.Range(nameof(Rank), Rank, 1, 1 << 12);
        rules.Positive(nameof(Alpha), Alpha);
        rules.Require(Targets.Count > 0, nameof(Targets), "an empty list", "must have at least one item");
        foreach (string target in Targets)
        {
            rules.Require(Known.Contains(target, StringComparer.Ordinal), nameof(Targets), target, $"must be of {string.Join(", ", Known)}");
        }
    }
}
