using CsCheck;
using TrainServe.Core.Packaging;
using TrainServe.Core.Random;
using static TrainServe.Export.GraphWriter;
using static TrainServe.Inference.Tests.Kernels.OperatorGraph;

namespace TrainServe.Inference.Tests.Kernels;

// R rows, K numbers of a row.

public sealed class RowOperatorTests
{
    private const string Own = GraphNames.KernelDomain;

    private static readonly Gen<(int Rows, int Width, int Seed)> Shapes = Gen.Select(Gen.Int[1, 40], Gen.Int[1, 300], Gen.Int[0, 1000]);

    [Fact]
    public void QuantizeRows_gives_the_bytes_and_scales_of_the_plain_operators()
    {
        using var own = new OperatorGraph([Node("QuantizeRows", Own, ["x"], ["bytes", "scales"])], [("x", typeof(float))], [("bytes", typeof(byte)), ("scales", typeof(float))]);
        using var plain = new OperatorGraph(
            [
                Node("Abs", "", ["x"], ["sizes"]), Node("ReduceMax", "", ["sizes", "axis"], ["largest"], Integer("keepdims", 0)), Node("Mul", "", ["largest", "step"], ["scales"]),
                Node("QuantizeLinear", "", ["x", "scales", "zeros"], ["bytes"], Integer("axis", 0)),
            ],
            [("x", typeof(float)), ("axis", typeof(long)), ("step", typeof(float)), ("zeros", typeof(byte))], [("bytes", typeof(byte)), ("scales", typeof(float))]);
        Shapes.Sample(shape =>
        {
            long[] size = [shape.Rows, shape.Width];
            float[] x = Numbers(shape.Rows * shape.Width, shape.Seed);
            byte[] zeros = [.. Enumerable.Repeat((byte)128, shape.Rows)];

            var expected = plain.Run(("x", x, size), ("axis", new long[] { -1 }, [1]), ("step", new[] { 1f / 127 }, []), ("zeros", zeros, [shape.Rows]));
            var actual = own.Run(("x", x, size));

            Assert.Equal((float[])expected[1], (float[])actual[1]);
            Assert.Equal((byte[])expected[0], (byte[])actual[0]);
        }, iter: 100, threads: 1);
    }

    [Fact]
    public void A_row_of_zeros_has_scale_zero_and_bytes_that_stand_for_zero()
    {
        using var own = new OperatorGraph([Node("QuantizeRows", Own, ["x"], ["bytes", "scales"])], [("x", typeof(float))], [("bytes", typeof(byte)), ("scales", typeof(float))]);

        var result = own.Run(("x", new float[] { 0, 0, 0, -1, 0.5f, 1 }, [2, 3]));

        // 0.5 of 127 steps is 63.5, rounded to even.
        Assert.Equal(new byte[] { 128, 128, 128, 1, 192, 255 }, (byte[])result[0]);
        Assert.Equal(new[] { 0, 1f / 127 }, (float[])result[1]);
    }

    [Fact]
    public void SwiGluQuantizeRows_is_silu_of_gate_times_up_for_each_row_by_itself()
    {
        using var own = new OperatorGraph([Node("SwiGluQuantizeRows", Own, ["sums", "given"], ["bytes", "scales"])], [("sums", typeof(float)), ("given", typeof(float))], [("bytes", typeof(byte)), ("scales", typeof(float))]);
        Shapes.Sample(shape =>
        {
            var (rows, width, seed) = shape;
            float[] sums = Numbers(rows * 2 * width, seed), given = Positive(rows, seed);

            var all = own.Run(("sums", sums, [rows, 2 * width]), ("given", given, [rows]));

            byte[] bytes = (byte[])all[0];
            float[] scales = (float[])all[1];
            for (int row = 0; row < rows; row++)
            {
                float[] rowSums = sums.AsSpan(row * 2 * width, 2 * width).ToArray();
                double[] expected = [.. Enumerable.Range(0, width).Select(i => Silu((double)rowSums[i] * given[row]) * rowSums[width + i] * given[row])];
                RequireNear(expected, bytes.AsSpan(row * width, width), scales[row]);
                var alone = own.Run(("sums", rowSums, [1, 2 * width]), ("given", new[] { given[row] }, [1]));
                Assert.Equal((byte[])alone[0], bytes[(row * width)..((row + 1) * width)]);
                Assert.Equal(((float[])alone[1])[0], scales[row]);
            }
        }, iter: 40, threads: 1);
    }

    [Fact]
    public void AddNormQuantizeRows_is_the_norm_of_the_sum_for_each_row_by_itself()
    {
        using var own = new OperatorGraph([Node("AddNormQuantizeRows", Own, ["sums", "given", "residual", "weight"], ["bytes", "scales", "sum"], Float("epsilon", 1e-5f))],
            [("sums", typeof(float)), ("given", typeof(float)), ("residual", typeof(float)), ("weight", typeof(float))], [("bytes", typeof(byte)), ("scales", typeof(float)), ("sum", typeof(float))]);
        Shapes.Sample(shape =>
        {
            var (rows, width, seed) = shape;
            float[] sums = Numbers(rows * width, seed), residual = Numbers(rows * width, seed + 1), given = Positive(rows, seed), weight = Numbers(width, seed + 2);

            var all = own.Run(("sums", sums, [rows, width]), ("given", given, [rows]), ("residual", residual, [rows, width]), ("weight", weight, [width]));

            byte[] bytes = (byte[])all[0];
            float[] scales = (float[])all[1], sum = (float[])all[2];
            for (int row = 0; row < rows; row++)
            {
                var part = (row * width)..((row + 1) * width);
                float[] rowSums = sums[part], rowResidual = residual[part];
                float[] added = [.. rowSums.Select((value, i) => value * given[row] + rowResidual[i])];
                Assert.Equal(added, sum[part]);
                double factor = 1 / Math.Sqrt(added.Sum(value => (double)value * value) / width + 1e-5);
                RequireNear([.. added.Select((value, i) => value * factor * weight[i])], bytes.AsSpan(part), scales[row]);
                var alone = own.Run(("sums", rowSums, [1, width]), ("given", new[] { given[row] }, [1]), ("residual", rowResidual, [1, width]), ("weight", weight, [width]));
                Assert.Equal((byte[])alone[0], bytes[part]);
                Assert.Equal(((float[])alone[1])[0], scales[row]);
            }
        }, iter: 40, threads: 1);
    }

    private static double Silu(double x) => x / (1 + Math.Exp(-x));

    private static void RequireNear(double[] expected, ReadOnlySpan<byte> bytes, float scale)
    {
        double largest = expected.Max(Math.Abs);
        Assert.InRange(scale * 127, largest * (1 - 1e-5) - 1e-30, largest * (1 + 1e-5) + 1e-30);
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.InRange((bytes[i] - 128) * (double)scale, expected[i] - 0.5001 * scale - 1e-5 * largest, expected[i] + 0.5001 * scale + 1e-5 * largest);
        }
    }

    private static float[] Positive(int count, int seed) => Array.ConvertAll(Numbers(count, seed + 3), value => Math.Abs(value) + 0.01f);

    private static float[] Numbers(int count, int seed)
    {
        var random = new PhiloxRandom((ulong)seed);
        return [.. Enumerable.Range(0, count).Select(_ => (float)(random.NextDouble() * 8 - 4))];
    }
}
