using System.Numerics.Tensors;
using TrainServe.Core.Random;

namespace TrainServe.Core.Sampling;

/// <summary>Chooses tokens from logits, in the order that <see cref="SamplingParameters"/> states.</summary>
/// <remarks>
/// A choice depends on the logits, the parameters, the seed and the position only: not on the batch, not on earlier calls. Log-probabilities that it reports are
/// the model's own, before penalties, temperature and filters. The tokens that the filters leave are laid out in the order of their ids, each as wide as its
/// probability, and one uniform number points at one of them. Keeps scratch memory of its own; not safe for use from several threads.
/// </remarks>
public sealed class TokenSampler
{
    // Nearly always enough for top-p.
    private const int FirstNucleus = 256;
    private const int Piece = 2048;
    private readonly float[] _logits, _weights;
    private readonly TopTokens _top = new();
    private int[]? _survivors, _order;
    private float[]? _nearness;

    public TokenSampler(int vocabSize) => (_logits, _weights) = (new float[vocabSize], new float[vocabSize]);

    /// <summary>Chooses one token.</summary>
    /// <param name="logits">[V]; minus infinity forbids a token.</param>
    /// <param name="parameters">Validated.</param>
    /// <param name="history">What the penalties count; null where there are none.</param>
    /// <param name="seed">The request's.</param>
    /// <param name="position">The number of the token within the answer.</param>
    /// <param name="constraint">What the answer must keep to; null where it is free.</param>
    /// <exception cref="NonFiniteLogitsException">A logit is not a number, or all are infinite; also when the constraint leaves no token.</exception>
    public TokenLogProb Sample(ReadOnlySpan<float> logits, SamplingParameters parameters, TokenHistory? history, ulong seed, long position, ILogitsConstraint? constraint = null)
    {
        var adjusted = Adjust(logits, parameters, history, constraint);
        var (best, highest) = MostLikely(adjusted);
        if (!float.IsFinite(highest))
        {
            throw new NonFiniteLogitsException();
        }
        int id = parameters.Temperature == 0 ? best : Draw(adjusted, best, parameters, Uniform(seed, position));
        return new TokenLogProb(id, logits[id] - LogSumExp(logits, adjusted == logits ? highest : TensorPrimitives.Max(logits)));
    }

    /// <summary>The natural log of a token's probability under the model's own distribution.</summary>
    public float LogProb(ReadOnlySpan<float> logits, int id) => logits[id] - LogSumExp(logits, TensorPrimitives.Max(logits));

    /// <summary>The most likely tokens, best first.</summary>
    public TokenLogProb[] MostLikely(ReadOnlySpan<float> logits, int count)
    {
        _top.Take(logits, count);
        float total = LogSumExp(logits, TensorPrimitives.Max(logits));
        var result = new TokenLogProb[_top.Ids.Length];
        for (int i = 0; i < result.Length; i++)
        {
            result[i] = new TokenLogProb(_top.Ids[i], _top.Values[i] - total);
        }
        return result;
    }

    /// <summary>The largest logit and its first place; NaN if there is any.</summary>
    /// <remarks>The maximum of each piece first, then the place within the first piece that has it: searching floats for a value takes six times as long as their maximum.</remarks>
    private static (int Id, float Logit) MostLikely(ReadOnlySpan<float> logits)
    {
        float highest = TensorPrimitives.Max(logits[..Math.Min(Piece, logits.Length)]);
        int start = 0;
        for (int next = Piece; next < logits.Length && !float.IsNaN(highest); next += Piece)
        {
            float other = TensorPrimitives.Max(logits.Slice(next, Math.Min(Piece, logits.Length - next)));
            if (!(other <= highest))
            {
                (start, highest) = (next, other);
            }
        }
        return (start + logits[start..].IndexOf(highest), highest);
    }

    private ReadOnlySpan<float> Adjust(ReadOnlySpan<float> logits, SamplingParameters parameters, TokenHistory? history, ILogitsConstraint? constraint)
    {
        bool penalized = history is not null && parameters.NeedsHistory;
        if (!penalized && parameters.LogitBias is null && constraint is null)
        {
            return logits;
        }
        logits.CopyTo(_logits);
        if (parameters.LogitBias is { } biases)
        {
            foreach (var (id, bias) in biases)
            {
                _logits[id] += bias;
            }
        }
        if (penalized)
        {
            history!.Penalize(_logits, parameters);
        }
        constraint?.Mask(_logits);
        return _logits;
    }

    private int Draw(ReadOnlySpan<float> logits, int best, SamplingParameters parameters, double uniform)
    {
        float highest = logits[best];
        var cut = Cut.None;
        if (parameters.TopK > 0 && parameters.TopK < logits.Length)
        {
            cut = TopKAndTopP(logits, highest, parameters);
        }
        else if (parameters.TopP < 1)
        {
            cut = TopPOfAll(logits, highest, parameters);
        }
        var survivors = Survivors(logits, highest, cut, parameters);
        return Walk(parameters.TypicalP < 1 ? Typical(survivors.Length, parameters.TypicalP) : survivors, uniform);
    }

    /// <summary>Top-p within the top-k: few candidates, best first.</summary>
    private Cut TopKAndTopP(ReadOnlySpan<float> logits, float highest, SamplingParameters parameters)
    {
        _top.Take(logits, parameters.TopK);
        var weights = _weights.AsSpan(0, _top.Values.Length);
        Weigh(_top.Values, highest, parameters.Temperature, weights);
        int last = parameters.TopP < 1 ? Nucleus(weights, parameters.TopP * Sum(weights)) : -1;
        return Cut.At(_top, last < 0 ? weights.Length - 1 : last);
    }

    /// <summary>Top-p of the whole vocabulary: mostly a few tokens have the mass; where they do not, a selection by mass finds the cut without sorting.</summary>
    private Cut TopPOfAll(ReadOnlySpan<float> logits, float highest, SamplingParameters parameters)
    {
        Weigh(logits, highest, parameters.Temperature, _weights);
        double needed = parameters.TopP * Sum(_weights);
        _top.Take(logits, FirstNucleus);
        double sum = 0;
        for (int i = 0; i < _top.Ids.Length; i++)
        {
            sum += _weights[_top.Ids[i]];
            if (sum >= needed)
            {
                return Cut.At(_top, i);
            }
        }
        return MassSelection.Find(logits, _weights, needed, _order ??= new int[_weights.Length]);
    }

    /// <summary>What is left of the vocabulary, in the order of ids; the weights lie in the scratch memory.</summary>
    private ReadOnlySpan<int> Survivors(ReadOnlySpan<float> logits, float highest, Cut cut, SamplingParameters parameters)
    {
        int[] ids = _survivors ??= new int[_weights.Length];
        int count = cut.Gather(logits, ids);
        for (int i = 0; i < count; i++)
        {
            _weights[i] = logits[ids[i]];
        }
        var weights = _weights.AsSpan(0, count);
        Weigh(weights, highest, parameters.Temperature, weights);
        int kept = 0;
        for (int i = 0; i < count; i++)
        {
            // A weight is the token's probability over that of the most likely one.
            if (weights[i] >= parameters.MinP && weights[i] > 0)
            {
                (ids[kept], weights[kept]) = (ids[i], weights[i]);
                kept++;
            }
        }
        return ids.AsSpan(0, kept);
    }

    /// <summary>Of the survivors those whose surprise, -log p, is nearest to their entropy, as many as have the mass together.</summary>
    private ReadOnlySpan<int> Typical(int count, float mass)
    {
        int[] ids = _survivors!;
        var weights = _weights.AsSpan(0, count);
        var nearness = (_nearness ??= new float[_weights.Length]).AsSpan(0, count);
        double total = Sum(weights), entropy = 0;
        for (int i = 0; i < count; i++)
        {
            double p = weights[i] / total;
            entropy -= p * Math.Log(p);
        }
        for (int i = 0; i < count; i++)
        {
            nearness[i] = -(float)Math.Abs(-Math.Log(weights[i] / total) - entropy);
        }
        var last = MassSelection.Find(nearness, weights, mass * total, (_order ??= new int[_weights.Length]).AsSpan(0, count));
        int kept = 0;
        for (int i = 0; i < count; i++)
        {
            if (nearness[i] > last.Logit || (nearness[i] == last.Logit && i <= last.Id))
            {
                (ids[kept], weights[kept]) = (ids[i], weights[i]);
                kept++;
            }
        }
        return ids.AsSpan(0, kept);
    }

    private int Walk(ReadOnlySpan<int> ids, double uniform)
    {
        var weights = _weights.AsSpan(0, ids.Length);
        double target = uniform * Sum(weights);
        for (int i = 0; i < weights.Length; i++)
        {
            target -= weights[i];
            if (target < 0)
            {
                return ids[i];
            }
        }
        // Rounding may leave a sliver.
        return ids[^1];
    }

    /// <summary>exp((logit - highest) / temperature), so that the most likely token has 1. Divided, not multiplied: the inverse of a tiny temperature is infinite.</summary>
    private static void Weigh(ReadOnlySpan<float> logits, float highest, float temperature, Span<float> weights)
    {
        TensorPrimitives.Subtract(logits, highest, weights);
        TensorPrimitives.Divide(weights, temperature, weights);
        TensorPrimitives.Exp(weights, weights);
    }

    private static double Sum(ReadOnlySpan<float> weights)
    {
        double sum = 0;
        foreach (float weight in weights)
        {
            sum += weight;
        }
        return sum;
    }

    /// <summary>Index of the candidate, best first, with which they reach the mass together; -1 if all do not.</summary>
    private static int Nucleus(ReadOnlySpan<float> weights, double needed)
    {
        double sum = 0;
        for (int i = 0; i < weights.Length; i++)
        {
            sum += weights[i];
            if (sum >= needed)
            {
                return i;
            }
        }
        return -1;
    }

    private float LogSumExp(ReadOnlySpan<float> logits, float maximum)
    {
        // Piece by piece, so that what is written is still in the nearest cache when it is read.
        var piece = _weights.AsSpan(0, Math.Min(Piece, logits.Length));
        double sum = 0;
        for (; logits.Length > 0; logits = logits[piece.Length..])
        {
            piece = piece[..Math.Min(piece.Length, logits.Length)];
            TensorPrimitives.Subtract(logits[..piece.Length], maximum, piece);
            TensorPrimitives.Exp(piece, piece);
            sum += TensorPrimitives.Sum<float>(piece);
        }
        return maximum + (float)Math.Log(sum);
    }

    private static double Uniform(ulong seed, long position)
    {
        Span<uint> block = stackalloc uint[4];
        PhiloxRandom.Block([(uint)position, (uint)(position >> 32), 0, 0], [(uint)seed, (uint)(seed >> 32)], block);
        return ((((ulong)block[1] << 32) | block[0]) >> 11) * (1.0 / (1L << 53));
    }
}
