using TrainServe.Core.Random;

namespace TrainServe.Export.Tests;

public sealed class BlockQuantizerTests
{
    [Fact]
    public void Eight_bits_put_the_largest_value_of_a_block_at_127_steps_and_round_the_rest()
    {
        float[] row = new float[16];
        (row[0], row[3], row[15]) = (-2.54f, 0.021f, 1.27f);

        var matrix = BlockQuantizer.Quantize(row, rows: 1, columns: 16, bits: 8, blockSize: 16);

        Assert.Equal(0.02f, matrix.Scales[0], 1e-7f);
        Assert.Equal((128 - 127, 128 + 1, 128 + 64, 128), (matrix.Packed[0], matrix.Packed[3], matrix.Packed[15], matrix.Packed[7]));
    }

    [Fact]
    public void Four_bits_hold_two_values_in_a_byte_the_first_in_the_lower_half()
    {
        // Multiples of one step from -8 to 7 need no rounding at all.
        float[] row = [.. Enumerable.Range(0, 16).Select(i => 0.5f * (i - 8))];

        var matrix = BlockQuantizer.Quantize(row, rows: 1, columns: 16, bits: 4, blockSize: 16);

        Assert.Equal(0.5f, matrix.Scales[0], 1e-6f);
        Assert.Equal([0x10, 0x32, 0x54, 0x76, 0x98, 0xBA, 0xDC, 0xFE], matrix.Packed);
    }

    [Fact]
    public void A_row_that_ends_within_a_block_is_filled_with_zeros()
    {
        var matrix = BlockQuantizer.Quantize([1, 2, 3, 4, 5, 6], rows: 2, columns: 3, bits: 8, blockSize: 16);

        Assert.Equal((2, 1, 16), (matrix.Rows, matrix.Blocks, matrix.BlockBytes));
        Assert.All(matrix.Packed[3..16], level => Assert.Equal(128, level));
        Assert.Equal(255, matrix.Packed[2]);
        Assert.Equal(6 / 127f, matrix.Scales[1], 1e-7f);
    }

    [Fact]
    public void A_block_of_zeros_stays_zero()
    {
        foreach (int bits in new[] { 4, 8 })
        {
            var matrix = BlockQuantizer.Quantize(new float[32], 1, 32, bits, 32);
            Assert.Equal(new float[32], Restore(matrix, bits, 32));
        }
    }

    [Theory]
    [InlineData(8, 64, 0.006)]
    [InlineData(4, 32, 0.085)]
    public void Normal_weights_lose_no_more_than_a_known_part_of_their_size(int bits, int block, double most)
    {
        var random = new PhiloxRandom(1);
        float[] weight = [.. Enumerable.Range(0, 64 * 256).Select(_ => (float)random.NextGaussian())];

        float[] restored = Restore(BlockQuantizer.Quantize(weight, 64, 256, bits, block), bits, 256);

        double error = Math.Sqrt(weight.Zip(restored, (x, y) => (double)(x - y) * (x - y)).Sum() / weight.Sum(x => (double)x * x));
        Assert.InRange(error, most / 4, most);
    }

    [Fact]
    public void The_searched_scale_of_four_bits_is_better_than_that_of_the_largest_value()
    {
        var random = new PhiloxRandom(2);
        for (int round = 0; round < 50; round++)
        {
            float[] block = [.. Enumerable.Range(0, 32).Select(_ => (float)random.NextGaussian())];
            float[] searched = Restore(BlockQuantizer.Quantize(block, 1, 32, 4, 32), 4, 32);
            float scale = block.Max(Math.Abs) / 7;

            Assert.True(Error(block, searched) <= Error(block, [.. block.Select(value => scale * MathF.Round(value / scale))]) + 1e-6);
        }

        static double Error(float[] x, float[] y) => x.Zip(y, (a, b) => (double)(a - b) * (a - b)).Sum();
    }

    // Needs rows without filling.
    private static float[] Restore(QuantizedMatrix matrix, int bits, int columns)
    {
        int block = matrix.BlockBytes * 8 / bits;
        return [.. Enumerable.Range(0, matrix.Rows * columns).Select(i =>
        {
            int level = bits == 8 ? matrix.Packed[i] : (matrix.Packed[i / 2] >> (4 * (i % 2))) & 15;
            return matrix.Scales[i / block] * (level - (1 << (bits - 1)));
        })];
    }
}
