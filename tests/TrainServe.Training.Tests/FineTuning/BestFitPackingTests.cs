using CsCheck;
using TrainServe.Training.FineTuning;

namespace TrainServe.Training.Tests.FineTuning;

public sealed class BestFitPackingTests
{
    [Fact]
    public void A_text_goes_into_the_row_with_the_least_room_that_suffices()
    {
        // 6 opens a row with 4 left, 8 one with 2 left; 2 fits the second best, 4 the first, 1 needs a third.
        Assert.Equal([[0, 3], [1, 2], [4]], BestFitPacking.Pack([6, 8, 2, 4, 1], 10));
    }

    [Fact]
    public void Every_text_has_one_place_and_no_row_is_too_long() =>
        Gen.Int[1, 20].Array[0, 200].Sample(lengths =>
        {
            var rows = BestFitPacking.Pack(lengths, 20);
            Assert.Equal(Enumerable.Range(0, lengths.Length), rows.SelectMany(row => row).Order());
            Assert.All(rows, row => Assert.InRange(row.Sum(text => lengths[text]), 1, 20));
            // No two rows would fit into one: their texts would have been put together.
            var sums = rows.Select(row => row.Sum(text => lengths[text])).Order().ToList();
            Assert.True(sums.Count < 2 || sums[0] + sums[1] > 20);
        });

    [Fact]
    public void A_text_longer_than_a_row_is_refused() => Assert.Throws<ArgumentOutOfRangeException>(() => BestFitPacking.Pack([3, 11], 10));
}
