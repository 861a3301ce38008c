using TrainServe.Core;

namespace TrainServe.Export;

// C width, H query heads, K key-value heads, D head size as trained, P head size in the graph.

/// <summary>How attention heads lie in the graph: as trained, or widened with zeros where the kernel asks for it.</summary>
/// <remarks>
/// <c>GroupQueryAttention</c> with rotation needs a head size that is a multiple of 16. A narrower head is widened: first half, zeros, second half, zeros. Rotation
/// turns value i of the first half with value i of the second, so zeros stay zeros; products of queries and keys do not change; the scale stays 1/sqrt(D).
/// </remarks>
internal sealed class HeadLayout(ModelConfig config)
{
    private const int Multiple = 16;

    /// <summary>P.</summary>
    public int Size { get; } = (config.HeadDim + Multiple - 1) / Multiple * Multiple;

    /// <summary>Widens a matrix with a row for each value of each head, [heads*D, C], to [heads*P, C].</summary>
    public float[] WidenRows(ReadOnlySpan<float> weight, int heads, int width)
    {
        var result = new float[heads * Size * width];
        for (int head = 0; head < heads; head++)
        {
            for (int i = 0; i < config.HeadDim; i++)
            {
                weight.Slice((head * config.HeadDim + i) * width, width).CopyTo(result.AsSpan((head * Size + Target(i)) * width, width));
            }
        }
        return result;
    }

    /// <summary>Widens a matrix with a column for each value of each head, [rows, heads*D], to [rows, heads*P].</summary>
    public float[] WidenColumns(ReadOnlySpan<float> weight, int heads, int rows)
    {
        var result = new float[rows * heads * Size];
        for (int row = 0; row < rows; row++)
        {
            WidenRows(weight.Slice(row * heads * config.HeadDim, heads * config.HeadDim), heads, width: 1).CopyTo(result, row * heads * Size);
        }
        return result;
    }

    /// <summary>cos and sin of the rotation's angles, each [M, P/2], computed in double precision.</summary>
    public (float[] Cos, float[] Sin) RotaryTables(int positions)
    {
        int half = Size / 2, trueHalf = config.HeadDim / 2;
        float[] cos = new float[positions * half], sin = new float[positions * half];
        for (int position = 0; position < positions; position++)
        {
            for (int i = 0; i < half; i++)
            {
                double angle = i < trueHalf ? position * Math.Pow(config.RopeTheta, -2.0 * i / config.HeadDim) : 0;
                (sin[position * half + i], cos[position * half + i]) = ((float)Math.Sin(angle), (float)Math.Cos(angle));
            }
        }
        return (cos, sin);
    }

    private int Target(int i) => i < config.HeadDim / 2 ? i : Size / 2 + i - config.HeadDim / 2;
}
