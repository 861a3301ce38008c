using System.Text;
using TrainServe.Core.Data;

namespace TrainServe.Training.Tokenization;

/// <summary>Learns a byte-level BPE vocabulary from text. The same text gives the same vocabulary, whatever the number of threads and the order of documents.</summary>
public static class BpeTrainer
{
    private const int ReportEveryMerges = 64;

    /// <summary>Reads all documents, counts their words and merges pairs until the vocabulary is full.</summary>
    /// <param name="documents">Read once, from one thread at a time.</param>
    /// <param name="config">Sizes.</param>
    /// <param name="progress">Called from several threads.</param>
    /// <param name="cancellationToken">Stops between two parts of text or two merges.</param>
    /// <exception cref="Core.RecipeException">The config breaks a rule, for example with a vocabulary that is too small.</exception>
    /// <exception cref="InvalidDataException">There is no text, or a file is damaged.</exception>
    public static BpeVocabulary Train(IEnumerable<Document> documents, BpeTrainerConfig config, IProgress<BpeProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        config.Validated();
        var counter = new WordCounter();
        counter.Count(documents, config.Threads > 0 ? config.Threads : Environment.ProcessorCount, progress, cancellationToken);
        if (counter.Counts.Count == 0)
        {
            throw new InvalidDataException("There is no text to learn a vocabulary from.");
        }
        var merger = new PairMerger([.. counter.Counts.Select(word => (Encoding.UTF8.GetBytes(word.Key), word.Value))]);
        var vocabulary = Learn(merger, config, progress, cancellationToken);
        return vocabulary with { CorpusBytes = counter.Bytes, CorpusTokens = merger.TokenCount, UniqueWords = counter.Counts.Count };
    }

    private static BpeVocabulary Learn(PairMerger merger, BpeTrainerConfig config, IProgress<BpeProgress>? progress, CancellationToken cancellationToken)
    {
        int ordinary = config.VocabSize - config.SpecialTokens.Count;
        var tokens = BpeVocabulary.OfBytes(config.SpecialTokens).Tokens.ToList();
        var idOfToken = tokens.Select((token, id) => (Name: Name(token), id)).ToDictionary(token => token.Name, token => token.id, StringComparer.Ordinal);
        var merges = new List<(int Left, int Right)>();
        var mergedTo = new Dictionary<(int Left, int Right), int>();
        while (tokens.Count < ordinary && merger.Top(config.MinFrequency) is { } pair)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (!mergedTo.TryGetValue((pair.Left, pair.Right), out int merged))
            {
                // Two pairs can spell one token, as a+bc and ab+c: it keeps the id that it has.
                byte[] token = [.. tokens[pair.Left], .. tokens[pair.Right]];
                if (!idOfToken.TryGetValue(Name(token), out merged))
                {
                    merged = tokens.Count;
                    tokens.Add(token);
                    idOfToken.Add(Name(token), merged);
                }
                merges.Add((pair.Left, pair.Right));
                mergedTo.Add((pair.Left, pair.Right), merged);
            }
            merger.Merge(pair.Left, pair.Right, merged);
            if (merges.Count % ReportEveryMerges == 0)
            {
                progress?.Report(new BpeProgress(BpePhase.Merging, tokens.Count - 256, ordinary - 256));
            }
        }
        progress?.Report(new BpeProgress(BpePhase.Merging, tokens.Count - 256, ordinary - 256));
        return new BpeVocabulary { Tokens = tokens, Merges = merges, SpecialTokens = config.SpecialTokens };
    }

    private static string Name(byte[] token) => Encoding.Latin1.GetString(token);
}
