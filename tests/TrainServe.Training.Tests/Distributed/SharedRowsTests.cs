using CsCheck;
using TrainServe.Training.Distributed;

namespace TrainServe.Training.Tests.Distributed;

public sealed class SharedRowsTests
{
    [Fact]
    public void Parts_follow_each_other_and_are_all_rows() => Gen.Select(Gen.Int[1, 9], Gen.Int[0, 40]).Sample((size, rows) =>
    {
        var parts = ThreadGroup.Run(size, group => SharedRows.Part(group, rows).GetOffsetAndLength(rows));
        int next = 0;
        foreach (var (offset, length) in parts)
        {
            Assert.Equal(next, offset);
            Assert.InRange(length, rows / size, rows / size + 1);
            next += length;
        }
        Assert.Equal(rows, next);
    }, iter: 30, threads: 1);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void All_processes_have_all_rows_to_the_last_bit(int size)
    {
        // An empty row, and fewer rows than processes.
        double[][] rows = [[0.1, 1e-300, -7], [], [1 / 3.0], [double.MaxValue, float.Epsilon]];
        var found = ThreadGroup.Run(size, group =>
        {
            var own = new double[rows.Length][];
            var (offset, length) = SharedRows.Part(group, rows.Length).GetOffsetAndLength(rows.Length);
            Array.Copy(rows, offset, own, offset, length);
            return SharedRows.Complete(group, own);
        });
        Assert.All(found, all => Assert.Equal(rows, all));
    }

    [Fact]
    public void What_is_no_number_reaches_all_processes() => Assert.All(
        ThreadGroup.Run(2, group => SharedRows.Complete(group, group.IsFirst ? [[double.NaN], null] : [null, [2]])),
        all => Assert.Equal([[double.NaN], [2]], all));

    [Fact]
    public void Things_in_order_of_size_are_dealt_evenly() =>
        Assert.Equal([[1, 4, 7], [2, 5], [3, 6]], ThreadGroup.Run(3, group => group.Dealt([1, 2, 3, 4, 5, 6, 7]).ToArray()));
}
