using System.Numerics.Tensors;
using TrainServe.Export;
using TrainServe.Inference.Execution;

namespace TrainServe.Publishing.Calibration;

/// <summary>Finds the scales of an eight-bit cache: from what the model in single precision caches, place by place.</summary>
internal static class CacheCalibration
{
    // Room above the largest value that was seen: 127 steps reach it and a little further.
    private const float Steps = 120;

    public static CacheScales Measure(OnnxModelRunner runner, int layers, IReadOnlyList<int[]> sequences)
    {
        float[][] keys = new float[layers][], values = new float[layers][];
        foreach (int[] sequence in sequences)
        {
            runner.Prefill(0, 0, sequence, allLogits: false);
            for (int layer = 0; layer < layers; layer++)
            {
                var (largestKeys, largestValues) = runner.LargestCached(layer, 0, sequence.Length);
                keys[layer] = Larger(keys[layer], largestKeys);
                values[layer] = Larger(values[layer], largestValues);
            }
        }
        return new CacheScales([.. keys.Select(Scales)], [.. values.Select(Scales)]);
    }

    private static float[] Larger(float[]? known, float[] other)
    {
        TensorPrimitives.Max(known ?? other, other, other);
        return other;
    }

    // A place that is always 0, like those that widen a narrow head, may have any scale.
    private static float[] Scales(float[] largest) => Array.ConvertAll(largest, value => value > 0 ? value / Steps : 1);
}
