using System.Text;
using TrainServe.Core.Data;
using TrainServe.Core.Scoring;
using TrainServe.Core.Tokenization;

namespace TrainServe.Evaluation.Tasks;

/// <summary>How well a model foresees text: loss a token, perplexity, bits a byte.</summary>
/// <remarks>
/// The harness's rolling windows (<c>get_rolling_token_windows</c>, made disjoint): every token is foreseen once; a window's first token is foreseen from the one before it, or from the
/// token that begins a text; the last window reaches back for context. Bits and bytes are those of the text, not of tokens, so that models with different tokenizers compare.
/// </remarks>
public static class TextTask
{
    public static TaskResult Run(IReadOnlyList<Document> documents, ILanguageScorer scorer, TextTokenizer tokenizer, PairEncoding encoding, CancellationToken cancellationToken = default)
    {
        var requests = new List<ScoringRequest>();
        long bytes = 0, words = 0;
        foreach (var document in documents)
        {
            bytes += Encoding.UTF8.GetByteCount(document.Text);
            words += document.Text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Length;
            requests.AddRange(Windows(encoding.First, tokenizer.Encode(document.Text), scorer.ContextLength));
        }
        var scored = scorer.Score(requests, cancellationToken);
        double nats = -scored.Sum(found => found.Sum);
        long tokens = scored.Sum(found => (long)found.LogProbs.Length);
        if (!double.IsFinite(nats))
        {
            throw new InvalidDataException($"The model gives no number to a token of the text (the sum of all is {-nats}); its weights are damaged or too large.");
        }
        var metrics = new Dictionary<string, double>(StringComparer.Ordinal) { ["loss"] = nats / tokens };
        AddPerplexity(metrics, "perplexity", nats / tokens);
        metrics["bits_per_byte"] = nats / Math.Log(2) / bytes;
        AddPerplexity(metrics, "word_perplexity", nats / Math.Max(1, words));
        metrics["tokens"] = tokens;
        metrics["bytes"] = bytes;
        return new TaskResult { Kind = "text", Count = documents.Count, Metrics = metrics };
    }

    /// <summary>Adds the exponential of a loss where it is a number; a text without white space is one long word, whose perplexity may be beyond all.</summary>
    internal static void AddPerplexity(Dictionary<string, double> metrics, string name, double loss)
    {
        if (Math.Exp(loss) is var perplexity && double.IsFinite(perplexity))
        {
            metrics[name] = perplexity;
        }
    }

    /// <summary>What is foreseen from what.</summary>
    /// <param name="first">The token that begins a text.</param>
    /// <param name="ids">The text.</param>
    /// <param name="contextLength">Tokens that the model reads.</param>
    internal static IEnumerable<ScoringRequest> Windows(int first, int[] ids, int contextLength)
    {
        for (int start = 0; start < ids.Length; start += contextLength)
        {
            int end = Math.Min(start + contextLength, ids.Length);
            // The tokens that are read end before the last one; they are as many as the model can read, and begin before the first one that is foreseen.
            int from = Math.Max(0, end - contextLength);
            int[] context = start == 0 ? [first] : ids[Math.Min(start - 1, Math.Max(0, from - 1))..start];
            yield return new ScoringRequest(context, ids[start..end]);
        }
    }
}
