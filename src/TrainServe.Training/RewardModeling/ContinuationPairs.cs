using TrainServe.Core.Data;
using TrainServe.Core.Random;
using TrainServe.Core.Sampling;
using TrainServe.Core.Scoring;
using TrainServe.Core.Tokenization;

namespace TrainServe.Training.RewardModeling;

/// <summary>An opening, how its author went on, and how a model did.</summary>
/// <param name="Opening">Whole sentences from the beginning of a document.</param>
/// <param name="Written">The sentences that follow in the document.</param>
/// <param name="Sampled">Sentences of a model after the same opening.</param>
public sealed record ContinuationPair(string Opening, string Written, string Sampled);

/// <summary>Preference pairs that need no label: what people wrote is taken to be better than what a small model makes of the same opening.</summary>
/// <remarks>
/// A reward model learns from such pairs first and then from people's preferences, of which there are few: preference model pretraining, Askell et al. 2021, arXiv:2112.00861, section 4;
/// a model's own samples as the worse side as in Chen et al. 2024, arXiv:2401.01335 (SPIN). Both sides are cut at the last end of a sentence within the same number of tokens, so that neither
/// their length nor a torn end tells them apart.
/// </remarks>
public sealed class ContinuationPairs
{
    // Prompts of one length would be best, but they come as the documents do.
    private const int BatchRows = 64;
    private readonly ILanguageScorer _model;
    private readonly TextTokenizer _tokenizer;
    private readonly SamplingParameters _sampling;
    private readonly int _openingWords, _maxTokens;
    private readonly IReadOnlyCollection<int> _stopIds;
    private readonly ulong _seed;

    /// <param name="model">Continues openings. The weaker it is, the easier the pairs.</param>
    /// <param name="tokenizer">Its own.</param>
    /// <param name="stopIds">Tokens that end a document.</param>
    /// <param name="sampling">How it is sampled; its seed is replaced.</param>
    /// <param name="openingWords">An opening has as few sentences as make so many words.</param>
    /// <param name="maxTokens">Most tokens of a continuation.</param>
    /// <param name="seed">The same seed, model and documents give the same pairs.</param>
    public ContinuationPairs(ILanguageScorer model, TextTokenizer tokenizer, IReadOnlyCollection<int> stopIds, SamplingParameters sampling, int openingWords, int maxTokens, ulong seed) =>
        (_model, _tokenizer, _stopIds, _sampling, _openingWords, _maxTokens, _seed) = (model, tokenizer, stopIds, sampling, openingWords, maxTokens, seed);

    /// <summary>Documents without an opening that leaves room for a continuation, and samples without a whole sentence.</summary>
    public int Skipped { get; private set; }

    /// <summary>A pair for each document that gives one, in their order.</summary>
    public IEnumerable<ContinuationPair> Make(IEnumerable<Document> documents, CancellationToken stop = default)
    {
        ulong batchNumber = 0;
        foreach (var batch in Divided(documents).Chunk(BatchRows))
        {
            int[][] prompts = [.. batch.Select(document => _tokenizer.Encode(document.Opening))];
            var sampled = _model.Generate(prompts, _maxTokens, _sampling with { Seed = new PhiloxRandom(_seed, batchNumber++).NextUInt64() }, _stopIds, stop);
            foreach (var ((opening, rest), ids) in batch.Zip(sampled))
            {
                if (Pair(opening, rest, ids) is { } pair)
                {
                    yield return pair;
                }
                else
                {
                    Skipped++;
                }
            }
        }
    }

    private IEnumerable<(string Opening, string Following)> Divided(IEnumerable<Document> documents)
    {
        foreach (var document in documents)
        {
            string text = document.Text.Trim();
            int end = EndOfOpening(text);
            if (end > 0 && end < text.Length && _tokenizer.Encode(text[..end]).Length + _maxTokens <= _model.ContextLength)
            {
                yield return (text[..end], text[end..]);
            }
            else
            {
                Skipped++;
            }
        }
    }

    private ContinuationPair? Pair(string opening, string rest, int[] sampled)
    {
        int[] written = _tokenizer.Encode(rest);
        int budget = Math.Min(sampled.Length, written.Length);
        string own = WholeSentences(_tokenizer.Decode(written[..budget])), other = WholeSentences(_tokenizer.Decode(sampled[..budget]));
        return own.Length == 0 || other.Length == 0 || own == other ? null : new ContinuationPair(opening, own, other);
    }

    private int EndOfOpening(string text)
    {
        foreach (int end in EndsOfSentences(text))
        {
            if (text[..end].Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Length >= _openingWords)
            {
                return end;
            }
        }
        return -1;
    }

    private static string WholeSentences(string text) => text[..EndsOfSentences(text).LastOrDefault()].Trim();

    /// <summary>Places behind a full stop, a question or exclamation mark and the quotation marks that close with it, where white space or the end follows.</summary>
    private static IEnumerable<int> EndsOfSentences(string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] is not ('.' or '!' or '?'))
            {
                continue;
            }
            int end = i + 1;
            while (end < text.Length && (text[end] is '"' or '\'' or '”' or '’'))
            {
                end++;
            }
            if (end == text.Length || char.IsWhiteSpace(text[end]))
            {
                yield return end;
            }
        }
    }
}
