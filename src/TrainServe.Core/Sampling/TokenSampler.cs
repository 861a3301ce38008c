using System.Numerics.Tensors;
using TrainServe.Core.Random;

namespace TrainServe.Core.Sampling;

/// <summary>Chooses tokens from logits, in the order that <see cref="SamplingParameters"/> states.</summary>
/// <remarks>
/// A choice depends on the logits, the parameters, the seed and the position only: not on the batch, not on earlier calls. Log-probabilities that it reports are
/// the model's own, before penalties, temperature and filters. Keeps scratch memory of its own; not safe for use from several threads.
/// </remarks>
public sealed class TokenSampler
{
    // Nearly always enough for top-p; widened when the mass is short.
    private const int FirstNucleus = 256;
    private readonly float[] _logits, _weights;
    private readonly TopTokens _top = new();

    public TokenSampler(int vocabSize) => (_logits, _weights) = (new float[vocabSize], new float[vocabSize]);

    /// <summary>Chooses one token.</summary>
    /// <param name="logits">[V]; minus infinity forbids a token.</param>
    /// <param name="parameters">Validated.</param>
    /// <param name="history">What the penalties count; null where there are none.</param>
    /// <param name="seed">The request's.</param>
    /// <param name="position">The number of the token within the answer.</param>
    /// <exception cref="NonFiniteLogitsException">A logit is not a number, or all are infinite.</exception>
    public TokenLogProb Sample(ReadOnlySpan<float> logits, SamplingParameters parameters, TokenHistory? history, ulong seed, long position)
    {
        var adjusted = Adjust(logits, parameters, history);
        // IndexOfMax gives the first NaN if there is any.
        int best = TensorPrimitives.IndexOfMax(adjusted);
        if (!float.IsFinite(adjusted[best]))
        {
            throw new NonFiniteLogitsException();
        }
        int id = parameters.Temperature == 0 ? best : Draw(adjusted, best, parameters, Uniform(seed, position));
        return new TokenLogProb(id, logits[id] - LogSumExp(logits));
    }

    /// <summary>The most likely tokens, best first.</summary>
    public TokenLogProb[] MostLikely(ReadOnlySpan<float> logits, int count)
    {
        _top.Take(logits, count);
        float total = LogSumExp(logits);
        var result = new TokenLogProb[_top.Ids.Length];
        for (int i = 0; i < result.Length; i++)
        {
            result[i] = new TokenLogProb(_top.Ids[i], _top.Values[i] - total);
        }
        return result;
    }

    private ReadOnlySpan<float> Adjust(ReadOnlySpan<float> logits, SamplingParameters parameters, TokenHistory? history)
    {
        bool penalized = history is not null && parameters.NeedsHistory;
        if (!penalized && parameters.LogitBias is null)
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
        return _logits;
    }

    private int Draw(ReadOnlySpan<float> logits, int best, SamplingParameters parameters, double uniform)
    {
        float maximum = logits[best], inverse = 1 / parameters.Temperature;
        bool filtered = parameters.TopK > 0 || parameters.TopP < 1;
        if (!filtered)
        {
            return DrawFromAll(logits, maximum, inverse, parameters.MinP, uniform);
        }
        int kept = parameters.TopK > 0 ? parameters.TopK : FirstNucleus;
        double total = parameters.TopK > 0 ? 0 : Weigh(logits, maximum, inverse);
        while (true)
        {
            _top.Take(logits, kept);
            var weights = _weights.AsSpan(0, _top.Values.Length);
            Scale(_top.Values, maximum, inverse, weights);
            double needed = parameters.TopP * (parameters.TopK > 0 ? Sum(weights) : total);
            int nucleus = Nucleus(weights, parameters.TopP < 1 ? needed : double.PositiveInfinity);
            // Short mass and more tokens to look at: take more.
            if (nucleus < 0 && parameters.TopK == 0 && weights.Length < logits.Length)
            {
                kept = Math.Min(4 * kept, logits.Length);
                continue;
            }
            var survivors = weights[..(nucleus < 0 ? weights.Length : nucleus)];
            survivors = survivors[..AboveFloor(survivors, parameters.MinP)];
            return _top.Ids[Walk(survivors, uniform)];
        }
    }

    private int DrawFromAll(ReadOnlySpan<float> logits, float maximum, float inverse, float minP, double uniform)
    {
        Weigh(logits, maximum, inverse);
        if (minP > 0)
        {
            for (int i = 0; i < _weights.Length; i++)
            {
                _weights[i] = _weights[i] >= minP ? _weights[i] : 0;
            }
        }
        return Walk(_weights, uniform);
    }

    // The weights are relative to the most likely token's, which is 1.
    private double Weigh(ReadOnlySpan<float> logits, float maximum, float inverse)
    {
        Scale(logits, maximum, inverse, _weights);
        return Sum(_weights);
    }

    private static void Scale(ReadOnlySpan<float> logits, float maximum, float inverse, Span<float> weights)
    {
        TensorPrimitives.Subtract(logits, maximum, weights);
        TensorPrimitives.Multiply(weights, inverse, weights);
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

    /// <summary>How many of the best reach the mass together; -1 if all do not.</summary>
    private static int Nucleus(ReadOnlySpan<float> weights, double needed)
    {
        double sum = 0;
        for (int i = 0; i < weights.Length; i++)
        {
            sum += weights[i];
            if (sum >= needed)
            {
                return i + 1;
            }
        }
        return -1;
    }

    private static int AboveFloor(ReadOnlySpan<float> weights, float minP)
    {
        int kept = weights.Length;
        while (kept > 1 && weights[kept - 1] < minP)
        {
            kept--;
        }
        return kept;
    }

    private static int Walk(ReadOnlySpan<float> weights, double uniform)
    {
        double target = uniform * Sum(weights);
        int last = 0;
        for (int i = 0; i < weights.Length; i++)
        {
            if (weights[i] == 0)
            {
                continue;
            }
            last = i;
            target -= weights[i];
            if (target < 0)
            {
                return i;
            }
        }
        // Rounding may leave a sliver.
        return last;
    }

    private float LogSumExp(ReadOnlySpan<float> logits)
    {
        float maximum = TensorPrimitives.Max(logits);
        TensorPrimitives.Subtract(logits, maximum, _weights);
        TensorPrimitives.Exp(_weights, _weights);
        return maximum + MathF.Log(TensorPrimitives.Sum<float>(_weights));
    }

    private static double Uniform(ulong seed, long position)
    {
        Span<uint> block = stackalloc uint[4];
        PhiloxRandom.Block([(uint)position, (uint)(position >> 32), 0, 0], [(uint)seed, (uint)(seed >> 32)], block);
        return ((((ulong)block[1] << 32) | block[0]) >> 11) * (1.0 / (1L << 53));
    }
}
