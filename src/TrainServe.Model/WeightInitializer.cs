using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Core.Random;

namespace TrainServe.Model;

/// <summary>Fresh weights that are the same numbers on every platform, for any number of threads, and however matrices are fused.</summary>
/// <remarks>
/// Normal with standard deviation <c>initializer_range</c>; matrices that add to the residual stream (attention output, down) are divided by sqrt(2 * layers),
/// GPT-2's rule, so that the stream does not grow with depth. Norms are 1. A score's head has 1 / sqrt(C + 1) ("The N implementation details of RLHF with PPO").
/// A value is a function of seed, of the weight's place in the stored order, and of its index.
/// </remarks>
public static class WeightInitializer
{
    private const int Chunk = 1 << 14;

    public static void Initialize(Transformer model, ulong seed)
    {
        var streams = WeightNames.Expected(model.Config).Select((weight, index) => (weight.Name, (ulong)index)).ToDictionary(StringComparer.Ordinal);
        StateDictAdapter.Fill(model, (name, shape, values) =>
        {
            if (shape.Length == 1)
            {
                values.Fill(1);
            }
            else
            {
                FillNormal(values, StandardDeviation(name, model.Config), seed, streams[name]);
            }
        });
    }

    private static double StandardDeviation(string name, ModelConfig config)
    {
        if (name == WeightNames.Score)
        {
            return 1 / Math.Sqrt(config.HiddenSize + 1);
        }
        bool residual = name.EndsWith("o_proj.weight", StringComparison.Ordinal) || name.EndsWith("down_proj.weight", StringComparison.Ordinal);
        return residual ? config.InitializerRange / Math.Sqrt(2.0 * config.NumHiddenLayers) : config.InitializerRange;
    }

    private static unsafe void FillNormal(Span<float> values, double deviation, ulong seed, ulong stream)
    {
        fixed (float* start = values)
        {
            float* first = start;
            int count = values.Length;
            Parallel.For(0, (count + Chunk - 1) / Chunk, chunk =>
            {
                int from = chunk * Chunk;
                var random = new PhiloxRandom(seed, stream, (ulong)from);
                for (int i = from; i < Math.Min(from + Chunk, count); i++)
                {
                    first[i] = (float)(deviation * NormalQuantile.Of((random.NextUInt32() + 0.5) / 4294967296.0));
                }
            });
        }
    }
}
