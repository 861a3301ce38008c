namespace TrainServe.Training.Recipes;

/// <summary>A tokenizer to be trained on the run's own text, when none is given.</summary>
public sealed record TokenizerSection : IRecipeSection
{
    /// <summary>Tokens in all: 256 bytes, the merges, 8 special tokens. 264 has no merges: a token is a byte.</summary>
    public required int VocabSize { get; init; }

    public void Check(RecipeRules rules) => rules.Range(nameof(VocabSize), VocabSize, 264, 1 << 20);
}
