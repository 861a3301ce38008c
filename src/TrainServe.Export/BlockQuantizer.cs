namespace TrainServe.Export;

// N rows, K columns; a block is some consecutive columns of a row.

/// <summary>Rounds a matrix to few bits, block by block, each with a scale of its own: value = scale * (stored - 2^(bits-1)).</summary>
internal static class BlockQuantizer
{
    private const int Candidates = 19;

    /// <param name="weight">[N, K]</param>
    /// <param name="rows">N</param>
    /// <param name="columns">K; where it is no multiple of the block, zeros fill the last one.</param>
    /// <param name="bits">8 or 4.</param>
    /// <param name="blockSize">At least 16.</param>
    public static QuantizedMatrix Quantize(float[] weight, int rows, int columns, int bits, int blockSize)
    {
        int blocks = (columns + blockSize - 1) / blockSize, blockBytes = blockSize * bits / 8;
        var packed = new byte[(long)rows * blocks * blockBytes];
        var scales = new float[(long)rows * blocks];
        Parallel.For(0, rows, row =>
        {
            Span<int> levels = stackalloc int[blockSize];
            for (int block = 0; block < blocks; block++)
            {
                int start = block * blockSize;
                var values = weight.AsSpan(row * columns + start, Math.Min(blockSize, columns - start));
                levels.Clear();
                int index = row * blocks + block;
                scales[index] = bits == 8 ? Nearest(values, levels) : Searched(values, levels, bits);
                Pack(levels, bits, packed.AsSpan(index * blockBytes, blockBytes));
            }
        });
        return new QuantizedMatrix(packed, scales, rows, blocks, blockBytes);
    }

    // With 255 levels the choice of the scale hardly matters.
    private static float Nearest(ReadOnlySpan<float> values, Span<int> levels)
    {
        float largest = 0;
        foreach (float value in values)
        {
            largest = Math.Max(largest, Math.Abs(value));
        }
        float scale = largest / 127;
        for (int i = 0; i < values.Length; i++)
        {
            levels[i] = scale == 0 ? 0 : (int)MathF.Round(values[i] / scale);
        }
        return scale;
    }

    /// <summary>Tries several scales around the one that puts the largest value on the lowest level, fits each to its levels by least squares, and keeps the best.</summary>
    private static float Searched(ReadOnlySpan<float> values, Span<int> levels, int bits)
    {
        float extreme = 0;
        foreach (float value in values)
        {
            extreme = Math.Abs(value) > Math.Abs(extreme) ? value : extreme;
        }
        if (extreme == 0)
        {
            return 0;
        }
        int half = 1 << (bits - 1);
        // For given levels l the best scale is sum(x l) / sum(l l), and the error falls by sum(x l)^2 / sum(l l).
        double best = double.NegativeInfinity;
        float scale = 0, bestInverse = 0;
        for (int candidate = 0; candidate < Candidates; candidate++)
        {
            float inverse = -(half + 0.1f * (candidate - Candidates / 2)) / extreme;
            double product = 0, square = 0;
            foreach (float value in values)
            {
                float level = Level(value, inverse, half);
                product += value * level;
                square += level * level;
            }
            if (square > 0 && product * product / square > best)
            {
                (best, scale, bestInverse) = (product * product / square, (float)(product / square), inverse);
            }
        }
        for (int i = 0; i < values.Length; i++)
        {
            levels[i] = (int)Level(values[i], bestInverse, half);
        }
        return scale;
    }

    private static float Level(float value, float inverse, int half) => Math.Clamp(MathF.Round(value * inverse), -half, half - 1);

    // Levels are stored without sign, and of two four-bit ones the first in the lower half of the byte.
    private static void Pack(ReadOnlySpan<int> levels, int bits, Span<byte> target)
    {
        int half = 1 << (bits - 1);
        for (int i = 0; i < target.Length; i++)
        {
            target[i] = bits == 8 ? (byte)(levels[i] + half) : (byte)((levels[2 * i] + half) | (levels[2 * i + 1] + half) << 4);
        }
    }
}

/// <summary>A matrix of few bits.</summary>
/// <param name="Packed">[N, blocks, bytes of a block]</param>
/// <param name="Scales">[N, blocks]</param>
internal sealed record QuantizedMatrix(byte[] Packed, float[] Scales, int Rows, int Blocks, int BlockBytes);
