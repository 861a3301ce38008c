using CsCheck;
using TrainServe.Training.Data.Cleaning;

namespace TrainServe.Training.Tests.Data.Cleaning;

public sealed class NearDuplicateTests
{
    [Theory]
    [InlineData(0.4)]
    [InlineData(0.6)]
    [InlineData(0.7)]
    [InlineData(0.8)]
    public void Pairs_of_one_similarity_meet_as_often_as_the_bands_promise(double jaccard)
    {
        const int pairs = 1500, size = 90;
        // Two sets of n with c in common have the similarity c / (2n - c).
        int common = (int)Math.Round(2 * size * jaccard / (1 + jaccard));
        double exact = (double)common / (2 * size - common), promised = MinHasher.Recall(exact);
        int met = Enumerable.Range(0, pairs).Count(pair =>
        {
            ulong Element(int number) => WordShingles.Mixed(((ulong)pair << 32) + (ulong)number + 1);
            var first = MinHasher.BandKeys([.. Enumerable.Range(0, size).Select(Element)]);
            var second = MinHasher.BandKeys([.. Enumerable.Range(size - common, size).Select(Element)]);
            return first.Zip(second).Any(keys => keys.First == keys.Second);
        });
        // Five standard deviations of a count of independent pairs, and one pair for what is nearly certain.
        double deviation = Math.Sqrt(pairs * promised * (1 - promised));
        Assert.InRange(met, pairs * promised - 5 * deviation - 1, pairs * promised + 5 * deviation + 1);
    }

    [Fact]
    public void The_recall_at_the_usual_threshold_is_as_documented()
    {
        // 1 - (1 - 0.8^5)^20 and 1 - (1 - 0.3^5)^20, by hand.
        Assert.Equal(0.99965, MinHasher.Recall(0.8), 4);
        Assert.Equal(0.0475, MinHasher.Recall(0.3), 4);
    }

    [Fact]
    public void Case_punctuation_and_line_breaks_make_no_difference()
    {
        Assert.Equal(WordShingles.Of("The cat sat on the mat, and slept."), WordShingles.Of("the CAT sat\non the   mat and slept"));
        Assert.NotEqual(WordShingles.Of("The cat sat on the mat, and slept."), WordShingles.Of("The cat sat on the mat, and ate."));
    }

    [Theory]
    [InlineData("", 0)]
    [InlineData("... !", 0)]
    [InlineData("two words", 1)]
    [InlineData("one two three four five", 1)]
    [InlineData("one two three four five six", 2)]
    [InlineData("a b c d e a b c d e", 5)]
    [InlineData("\u732B\u304C\u5BDD\u3066\u3044\u308B", 2)]
    public void A_text_has_so_many_distinct_shingles(string text, int count) => Assert.Equal(count, WordShingles.Of(text).Length);

    [Fact]
    public void The_similarity_of_two_sets_is_that_of_their_definition() => Gen.Select(Gen.ULong[0, 30].Array[0, 20], Gen.ULong[0, 30].Array[0, 20]).Sample((first, second) =>
    {
        int union = first.Union(second).Count(), common = first.Intersect(second).Count();
        double expected = union == 0 ? 0 : (double)common / union;
        Assert.Equal(expected, WordShingles.Jaccard([.. first.Distinct().Order()], [.. second.Distinct().Order()]), 12);
    }, iter: 500);
}
