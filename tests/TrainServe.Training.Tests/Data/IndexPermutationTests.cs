using CsCheck;
using TrainServe.Training.Data;

namespace TrainServe.Training.Tests.Data;

public sealed class IndexPermutationTests
{
    [Fact]
    public void Every_index_comes_exactly_once() => Gen.Select(Gen.Int[1, 300], Gen.ULong, Gen.ULong).Sample((count, seed, stream) =>
    {
        var order = new IndexPermutation(count, seed, stream);
        Assert.Equal(Enumerable.Range(0, count).Select(i => (long)i), Enumerable.Range(0, count).Select(i => order[i]).Order());
    }, iter: 200);

    [Fact]
    public void Seeds_and_streams_give_different_orders()
    {
        long[] Order(ulong seed, ulong stream) => [.. Enumerable.Range(0, 100).Select(i => new IndexPermutation(100, seed, stream)[i])];
        Assert.Equal(Order(1, 1), Order(1, 1));
        Assert.NotEqual(Order(1, 1), Order(2, 1));
        Assert.NotEqual(Order(1, 1), Order(1, 2));
    }

    [Fact]
    public void First_places_are_spread_evenly_over_the_seeds()
    {
        // 8 indices, 4,000 seeds: 500 expected each, standard deviation 21; 5 of them are 105.
        var counts = new int[8];
        for (ulong seed = 0; seed < 4000; seed++)
        {
            counts[new IndexPermutation(8, seed, 7)[0]]++;
        }
        Assert.All(counts, count => Assert.InRange(count, 395, 605));
    }

    [Fact]
    public void A_place_outside_is_refused()
    {
        var order = new IndexPermutation(5, 1, 1);
        Assert.Throws<ArgumentOutOfRangeException>(() => order[5]);
        Assert.Throws<ArgumentOutOfRangeException>(() => order[-1]);
    }
}
