using TrainServe.Core;
using TrainServe.TestSupport;

namespace TrainServe.Export.Tests;

public sealed class HeadLayoutTests
{
    [Theory]
    [InlineData(4, 16)]
    [InlineData(8, 16)]
    [InlineData(16, 16)]
    [InlineData(18, 32)]
    [InlineData(64, 64)]
    [InlineData(80, 80)]
    public void Heads_are_widened_to_the_next_multiple_of_sixteen(int headSize, int expected) => Assert.Equal(expected, Layout(headSize).Size);

    [Fact]
    public void Each_half_of_a_head_is_followed_by_zeros()
    {
        // Two heads of size 4 over a width of 1: the values are their own row numbers.
        float[] widened = Layout(4).WidenRows([1, 2, 3, 4, 5, 6, 7, 8], heads: 2, width: 1);

        Assert.Equal([1, 2, 0, 0, 0, 0, 0, 0, 3, 4, 0, 0, 0, 0, 0, 0, 5, 6, 0, 0, 0, 0, 0, 0, 7, 8, 0, 0, 0, 0, 0, 0], widened);
    }

    [Fact]
    public void A_head_of_the_right_size_stays_as_it_is()
    {
        float[] rows = [.. Enumerable.Range(0, 2 * 16 * 3).Select(i => (float)i)];

        Assert.Equal(rows, Layout(16).WidenRows(rows, heads: 2, width: 3));
    }

    [Fact]
    public void Tables_hold_the_angles_of_each_position_and_none_where_a_head_was_widened()
    {
        var (cos, sin) = Layout(4).RotaryTables(positions: 3);

        // Size 4 has frequencies 1 and 10000^(-2/4) = 0.01; half of the widened head is 8.
        Assert.Equal(3 * 8, cos.Length);
        Assert.Equal((Math.Cos(2), Math.Sin(2)), (cos[16], sin[16]), new Near());
        Assert.Equal((Math.Cos(0.02), Math.Sin(0.02)), (cos[17], sin[17]), new Near());
        Assert.All(Enumerable.Range(18, 6), i => Assert.Equal((1f, 0f), (cos[i], sin[i])));
    }

    private static HeadLayout Layout(int headSize) => new(TinyModels.Config(hiddenSize: 2 * headSize, heads: 2, keyValueHeads: 1));

    private sealed class Near : IEqualityComparer<(double, double)>
    {
        public bool Equals((double, double) x, (double, double) y) => Math.Abs(x.Item1 - y.Item1) < 1e-6 && Math.Abs(x.Item2 - y.Item2) < 1e-6;

        public int GetHashCode((double, double) pair) => 0;
    }
}
