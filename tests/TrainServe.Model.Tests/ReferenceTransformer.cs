using TrainServe.Core;
using TrainServe.Core.Packaging;

namespace TrainServe.Model.Tests;

/// <summary>The same network in plain loops and double precision, written from the papers and not from the code under test.</summary>
internal sealed class ReferenceTransformer(ModelConfig config, IReadOnlyDictionary<string, float[]> weights)
{
    /// <summary>Logits at each position of one sequence.</summary>
    public double[][] Logits(int[] ids)
    {
        var head = weights[config.TieWordEmbeddings ? WeightNames.Embedding : WeightNames.Head];
        return [.. Hidden(ids).Select(x => Multiply(head, x))];
    }

    /// <summary>The score at each position of one sequence.</summary>
    public double[] Scores(int[] ids) => [.. Hidden(ids).Select(x => Multiply(weights[WeightNames.Score], x)[0])];

    private double[][] Hidden(int[] ids)
    {
        int width = config.HiddenSize;
        var embedding = weights[WeightNames.Embedding];
        var x = ids.Select(id => embedding[(id * width)..((id + 1) * width)].Select(value => (double)value).ToArray()).ToArray();
        for (int layer = 0; layer < config.NumHiddenLayers; layer++)
        {
            var normed = x.Select(row => Norm(row, weights[WeightNames.InputNorm(layer)])).ToArray();
            var attended = Attend(normed, layer);
            x = [.. x.Select((row, t) => Add(row, attended[t]))];
            x = [.. x.Select(row => Add(row, FeedForward(Norm(row, weights[WeightNames.PostAttentionNorm(layer)]), layer)))];
        }
        return [.. x.Select(row => Norm(row, weights[WeightNames.FinalNorm]))];
    }

    private double[][] Attend(double[][] x, int layer)
    {
        int size = config.HeadDim, group = config.NumAttentionHeads / config.NumKeyValueHeads;
        var queries = x.Select((row, t) => Rotate(Multiply(weights[WeightNames.Query(layer)], row), t)).ToArray();
        var keys = x.Select((row, t) => Rotate(Multiply(weights[WeightNames.Key(layer)], row), t)).ToArray();
        var values = x.Select(row => Multiply(weights[WeightNames.Value(layer)], row)).ToArray();
        var result = new double[x.Length][];
        for (int t = 0; t < x.Length; t++)
        {
            var mixed = new double[config.NumAttentionHeads * size];
            for (int head = 0; head < config.NumAttentionHeads; head++)
            {
                int query = head * size, keyValue = head / group * size;
                var weight = new double[t + 1];
                for (int s = 0; s <= t; s++)
                {
                    weight[s] = Math.Exp(Enumerable.Range(0, size).Sum(d => queries[t][query + d] * keys[s][keyValue + d]) / Math.Sqrt(size));
                }
                double total = weight.Sum();
                for (int d = 0; d < size; d++)
                {
                    mixed[query + d] = Enumerable.Range(0, t + 1).Sum(s => weight[s] / total * values[s][keyValue + d]);
                }
            }
            result[t] = Multiply(weights[WeightNames.AttentionOutput(layer)], mixed);
        }
        return result;
    }

    private double[] Rotate(double[] x, int position)
    {
        int size = config.HeadDim, half = size / 2;
        var result = new double[x.Length];
        for (int start = 0; start < x.Length; start += size)
        {
            for (int i = 0; i < half; i++)
            {
                double angle = position / Math.Pow(config.RopeTheta, 2.0 * i / size);
                double a = x[start + i], b = x[start + half + i];
                result[start + i] = a * Math.Cos(angle) - b * Math.Sin(angle);
                result[start + half + i] = a * Math.Sin(angle) + b * Math.Cos(angle);
            }
        }
        return result;
    }

    private double[] FeedForward(double[] x, int layer)
    {
        var gate = Multiply(weights[WeightNames.Gate(layer)], x);
        var up = Multiply(weights[WeightNames.Up(layer)], x);
        return Multiply(weights[WeightNames.Down(layer)], [.. gate.Select((g, i) => g / (1 + Math.Exp(-g)) * up[i])]);
    }

    private double[] Norm(double[] x, float[] weight)
    {
        double scale = 1 / Math.Sqrt(x.Average(value => value * value) + config.RmsNormEps);
        return [.. x.Select((value, i) => value * scale * weight[i])];
    }

    private static double[] Add(double[] a, double[] b) => [.. a.Select((value, i) => value + b[i])];

    private static double[] Multiply(float[] matrix, double[] x) =>
        [.. Enumerable.Range(0, matrix.Length / x.Length).Select(row => Enumerable.Range(0, x.Length).Sum(i => matrix[row * x.Length + i] * x[i]))];
}
