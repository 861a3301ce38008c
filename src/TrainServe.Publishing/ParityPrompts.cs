using TrainServe.Core;
using TrainServe.Core.Random;

namespace TrainServe.Publishing;

/// <summary>The texts that an export is tried on: eight short ones that are continued, and one as long as the context allows.</summary>
/// <remarks>Drawn at random over the whole vocabulary from a fixed seed, so that every row of the embedding can be met and every run compares the same.</remarks>
internal static class ParityPrompts
{
    public const int Count = 8, GreedyTokens = 64, LongestText = 512;
    private const ulong Seed = 20260101;

    /// <summary>Prompts of different lengths; the first is the beginning of a text alone, which takes the one-token path.</summary>
    public static IReadOnlyList<int[]> Short(ModelConfig config)
    {
        int room = Math.Max(1, config.MaxPositionEmbeddings - GreedyTokens);
        return [.. Enumerable.Range(0, Count).Select(i => Draw(config, (ulong)i, Math.Min(1 + 5 * i, room)))];
    }

    /// <summary>For a model that gives scores and continues nothing: the short texts with further tokens drawn, and where each prompt ends.</summary>
    public static IReadOnlyList<(int[] Ids, int PromptLength)> Continued(ModelConfig config) =>
        [.. Short(config).Select((prompt, i) => (Draw(config, (ulong)i, Math.Min(prompt.Length + GreedyTokens, config.MaxPositionEmbeddings)), prompt.Length))];

    public static int[] Long(ModelConfig config) => Draw(config, Count, Math.Min(LongestText, config.MaxPositionEmbeddings));

    private static int[] Draw(ModelConfig config, ulong stream, int length)
    {
        var random = new PhiloxRandom(Seed, stream);
        var ids = new int[length];
        for (int i = 0; i < length; i++)
        {
            ids[i] = i == 0 && config.BosTokenId is { } bos ? bos : random.NextInt32(config.VocabSize);
        }
        return ids;
    }
}
