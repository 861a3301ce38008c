using TrainServe.Core;
using TrainServe.Core.Scoring;
using TrainServe.Core.Tokenization;

namespace TrainServe.Evaluation;

/// <summary>A context and its continuation as tokens, by the rules of the public harness (lm-evaluation-harness, <c>TemplateLM._encode_pair</c>).</summary>
/// <remarks>
/// White space at the end of the context goes to the continuation, since tokenizers write it before words. Both are encoded together, and the continuation is what the context alone does
/// not have: a token that spans both belongs to the side where it starts in that count. The token that begins a text stands before everything, as in training.
/// </remarks>
public sealed class PairEncoding(TextTokenizer tokenizer, ModelConfig config, int contextLength)
{
    private readonly int _first = config.BosTokenId ?? (config.EosTokenId.Count > 0 ? config.EosTokenId[0] : 0);

    /// <summary>Contexts of which the beginning was cut off.</summary>
    public int Truncated { get; private set; }

    /// <summary>The token that begins a text.</summary>
    public int First => _first;

    /// <param name="context">May be empty.</param>
    /// <param name="continuation">With the white space before it.</param>
    /// <exception cref="InvalidDataException">The continuation has no token, or more than the model reads.</exception>
    public ScoringRequest Encode(string context, string continuation)
    {
        string trimmed = context.TrimEnd();
        continuation = context[trimmed.Length..] + continuation;
        int[] before = tokenizer.Encode(trimmed), whole = tokenizer.Encode(trimmed + continuation);
        int[] after = whole.Length > before.Length ? whole[before.Length..] : throw new InvalidDataException($"The continuation '{continuation}' has no token of its own.");
        if (after.Length > contextLength)
        {
            throw new InvalidDataException($"A continuation has {after.Length} tokens; the model reads {contextLength}.");
        }
        // The context's own tokens as they come in the whole: that is what the continuation was cut from.
        int[] all = [_first, .. whole[..before.Length]];
        // The last token of the continuation is only a target.
        int room = contextLength - (after.Length - 1);
        if (all.Length <= room)
        {
            return new ScoringRequest(all, after);
        }
        Truncated++;
        return new ScoringRequest(all[^Math.Max(1, room)..], after);
    }
}
