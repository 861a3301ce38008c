using TrainServe.Core;
using TrainServe.Core.Packaging;

namespace TrainServe.Inference.Tests;

// T time, C width, F inner width, V vocabulary, H query heads, K key-value heads, D head size.

/// <summary>A Llama-type transformer in double precision, written for reading: whole sequences, no cache, no tricks.</summary>
/// <remarks>RMSNorm: Zhang and Sennrich 2019, arXiv:1910.07467. Rotation: Su et al. 2021, arXiv:2104.09864, halves as in Hugging Face. SwiGLU: Shazeer 2020, arXiv:2002.05202.</remarks>
internal sealed class ReferenceTransformer(ModelConfig config, SafeTensorsReader weights)
{
    private readonly Dictionary<string, double[]> _weights = weights.Entries.Keys.ToDictionary(name => name, name => Array.ConvertAll(weights.ReadSingles(name), value => (double)value), StringComparer.Ordinal);

    /// <summary>The logits after each token, [T][V].</summary>
    public double[][] Logits(ReadOnlySpan<int> ids)
    {
        double[] embedding = _weights[WeightNames.Embedding];
        int width = config.HiddenSize;
        var hiddenTC = new double[ids.Length][];
        for (int t = 0; t < ids.Length; t++)
        {
            hiddenTC[t] = embedding[(ids[t] * width)..((ids[t] + 1) * width)];
        }
        for (int layer = 0; layer < config.NumHiddenLayers; layer++)
        {
            Add(hiddenTC, Attention(layer, Norm(hiddenTC, WeightNames.InputNorm(layer))));
            Add(hiddenTC, FeedForward(layer, Norm(hiddenTC, WeightNames.PostAttentionNorm(layer))));
        }
        return Linear(Norm(hiddenTC, WeightNames.FinalNorm), config.TieWordEmbeddings ? WeightNames.Embedding : WeightNames.Head);
    }

    private double[][] Attention(int layer, double[][] normedTC)
    {
        int heads = config.NumAttentionHeads, group = heads / config.NumKeyValueHeads, size = config.HeadDim;
        var queries = Rotate(Linear(normedTC, WeightNames.Query(layer)));
        var keys = Rotate(Linear(normedTC, WeightNames.Key(layer)));
        var values = Linear(normedTC, WeightNames.Value(layer));
        var mixed = new double[normedTC.Length][];
        for (int t = 0; t < mixed.Length; t++)
        {
            mixed[t] = new double[heads * size];
            for (int head = 0; head < heads; head++)
            {
                int own = head * size, shared = head / group * size;
                double[] scores = [.. Enumerable.Range(0, t + 1).Select(s => Enumerable.Range(0, size).Sum(i => queries[t][own + i] * keys[s][shared + i]) / Math.Sqrt(size))];
                double highest = scores.Max(), total = scores.Sum(score => Math.Exp(score - highest));
                for (int s = 0; s <= t; s++)
                {
                    double share = Math.Exp(scores[s] - highest) / total;
                    for (int i = 0; i < size; i++)
                    {
                        mixed[t][own + i] += share * values[s][shared + i];
                    }
                }
            }
        }
        return Linear(mixed, WeightNames.AttentionOutput(layer));
    }

    private double[][] FeedForward(int layer, double[][] normedTC)
    {
        var gate = Linear(normedTC, WeightNames.Gate(layer));
        var up = Linear(normedTC, WeightNames.Up(layer));
        return Linear([.. gate.Zip(up, (g, u) => g.Zip(u, (x, y) => x / (1 + Math.Exp(-x)) * y).ToArray())], WeightNames.Down(layer));
    }

    // Value i of a head's first half turns with value i of its second half.
    private double[][] Rotate(double[][] rows)
    {
        int size = config.HeadDim, half = size / 2;
        for (int t = 0; t < rows.Length; t++)
        {
            for (int start = 0; start < rows[t].Length; start += size)
            {
                for (int i = 0; i < half; i++)
                {
                    double angle = t * Math.Pow(config.RopeTheta, -2.0 * i / size), x = rows[t][start + i], y = rows[t][start + half + i];
                    rows[t][start + i] = x * Math.Cos(angle) - y * Math.Sin(angle);
                    rows[t][start + half + i] = y * Math.Cos(angle) + x * Math.Sin(angle);
                }
            }
        }
        return rows;
    }

    private double[][] Norm(double[][] rows, string name)
    {
        double[] scale = _weights[name];
        return [.. rows.Select(row =>
        {
            double size = Math.Sqrt(row.Sum(x => x * x) / row.Length + config.RmsNormEps);
            return row.Zip(scale, (x, s) => x / size * s).ToArray();
        })];
    }

    private double[][] Linear(double[][] rows, string name)
    {
        double[] matrix = _weights[name];
        int inputs = rows[0].Length, outputs = matrix.Length / inputs;
        return [.. rows.Select(row => Enumerable.Range(0, outputs).Select(o =>
        {
            double sum = 0;
            for (int i = 0; i < inputs; i++)
            {
                sum += row[i] * matrix[o * inputs + i];
            }
            return sum;
        }).ToArray())];
    }

    private static void Add(double[][] rows, double[][] addends)
    {
        for (int t = 0; t < rows.Length; t++)
        {
            for (int i = 0; i < rows[t].Length; i++)
            {
                rows[t][i] += addends[t][i];
            }
        }
    }
}
