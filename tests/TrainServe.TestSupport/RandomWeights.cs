using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Core.Random;

namespace TrainServe.TestSupport;

/// <summary>Weights drawn from a seed, large enough for logits that differ clearly from token to token.</summary>
public static class RandomWeights
{
    /// <summary>Writes <c>model.safetensors</c> for a shape.</summary>
    /// <param name="path">The file to write.</param>
    /// <param name="config">The shape.</param>
    /// <param name="seed">The same seed draws the same weights.</param>
    /// <param name="change">May change each weight, given its name, before it is written.</param>
    public static void Write(string path, ModelConfig config, ulong seed = 1, Action<string, float[]>? change = null)
    {
        var random = new PhiloxRandom(seed);
        SafeTensorsWriter.Write(path, [.. WeightNames.Expected(config).Select(weight =>
        {
            float[] values = Draw(random, weight.Shape);
            change?.Invoke(weight.Name, values);
            return SafeTensor.Singles(weight.Name, weight.Shape, values);
        })]);
    }

    // Matrices keep the size of what they multiply; norms lie around 1.
    private static float[] Draw(PhiloxRandom random, long[] shape)
    {
        var values = new float[shape.Aggregate(1L, (product, size) => product * size)];
        double scale = shape.Length == 2 ? 1 / Math.Sqrt(shape[1]) : 0.2, centre = shape.Length == 2 ? 0 : 1;
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = (float)(centre + scale * random.NextGaussian());
        }
        return values;
    }
}
