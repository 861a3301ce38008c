using CsCheck;
using TrainServe.Core.Random;

namespace TrainServe.Core.Tests.Random;

public sealed class PhiloxRandomTests
{
    // Known answers of the authors' own test file for philox4x32 with 10 rounds.
    [Theory]
    [InlineData(new uint[] { 0, 0, 0, 0 }, new uint[] { 0, 0 }, new uint[] { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 })]
    [InlineData(new uint[] { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff }, new uint[] { 0xffffffff, 0xffffffff }, new uint[] { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd })]
    [InlineData(new uint[] { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }, new uint[] { 0xa4093822, 0x299f31d0 }, new uint[] { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 })]
    public void A_block_is_the_authors_known_answer(uint[] counter, uint[] key, uint[] expected)
    {
        var result = new uint[4];
        PhiloxRandom.Block(counter, key, result);
        Assert.Equal(expected, result);
    }

    [Fact]
    public void Going_on_from_a_saved_position_gives_the_same_numbers() =>
        Gen.Select(Gen.ULong, Gen.ULong, Gen.Int[0, 50]).Sample((seed, stream, used) =>
        {
            var whole = new PhiloxRandom(seed, stream);
            for (int i = 0; i < used; i++)
            {
                whole.NextUInt32();
            }
            var resumed = new PhiloxRandom(seed, stream, whole.Position);
            Assert.Equal(whole.NextUInt64(), resumed.NextUInt64());
            Assert.Equal(whole.NextGaussian(), resumed.NextGaussian());
            Assert.Equal(whole.Position, resumed.Position);
        });

    [Fact]
    public void Streams_of_one_seed_differ() =>
        Assert.NotEqual(new PhiloxRandom(1, 0).NextUInt64(), new PhiloxRandom(1, 1).NextUInt64());

    [Fact]
    public void A_bounded_number_is_below_its_bound_and_every_value_comes_about_equally_often()
    {
        var counts = new int[7];
        var random = new PhiloxRandom(42);
        for (int i = 0; i < 70_000; i++)
        {
            counts[random.NextInt32(7)]++;
        }
        // 10,000 expected with a standard deviation of 93.
        Assert.All(counts, count => Assert.InRange(count, 9_600, 10_400));
    }

    [Fact]
    public void Gaussians_have_mean_0_and_variance_1()
    {
        var random = new PhiloxRandom(7);
        var values = Enumerable.Range(0, 100_000).Select(_ => random.NextGaussian()).ToArray();
        Assert.InRange(values.Average(), -0.015, 0.015);
        Assert.InRange(values.Average(value => value * value), 0.98, 1.02);
    }

    [Fact]
    public void A_shuffle_keeps_every_item() => Gen.Int.Array.Sample(items =>
    {
        var shuffled = (int[])items.Clone();
        new PhiloxRandom(3).Shuffle<int>(shuffled);
        Assert.Equal(items.Order(), shuffled.Order());
    });
}
