using TrainServe.Core;

namespace TrainServe.Training.Tokenization;

/// <summary>How a vocabulary is learned.</summary>
public sealed record BpeTrainerConfig
{
    /// <summary>Tokens in all: 256 bytes, merges, and control tokens. Without room for a merge a token is a byte, as in nanoGPT's run on Shakespeare's characters.</summary>
    public required int VocabSize { get; init; }

    /// <summary>A pair that occurs less often is not merged; the vocabulary then stays smaller than asked for.</summary>
    public int MinFrequency { get; init; } = 2;

    /// <summary>Control tokens in the order of their ids, which are the last.</summary>
    public IReadOnlyList<string> SpecialTokens { get; init; } = Core.Tokenization.SpecialTokens.Ours;

    /// <summary>Threads that count words; 0 for one a core. The result does not depend on it.</summary>
    public int Threads { get; init; }

    /// <exception cref="RecipeException">A setting breaks its rule.</exception>
    public BpeTrainerConfig Validated()
    {
        int needed = 256 + SpecialTokens.Count;
        if (VocabSize < needed)
        {
            throw new RecipeException($"The vocabulary size is {VocabSize}, which is too small: 256 bytes and {SpecialTokens.Count} control tokens need {needed}.");
        }
        if (VocabSize > 1 << 22)
        {
            throw new RecipeException($"The vocabulary size is {VocabSize}; at most {1 << 22} is implemented.");
        }
        if (MinFrequency < 1)
        {
            throw new RecipeException($"The smallest frequency is {MinFrequency}; it must be at least 1.");
        }
        if (Threads < 0)
        {
            throw new RecipeException($"The number of threads is {Threads}; it must not be negative.");
        }
        return this;
    }
}

/// <summary>How far the learning of a vocabulary is.</summary>
/// <param name="Phase">Counting words, or merging pairs.</param>
/// <param name="Done">UTF-8 bytes read, or merges made.</param>
/// <param name="Total">Merges wanted; 0 while counting, when nobody knows.</param>
public readonly record struct BpeProgress(BpePhase Phase, long Done, long Total);

public enum BpePhase
{
    Counting,
    Merging,
}
