using CsCheck;
using TrainServe.Core.Tokenization;
using TrainServe.TestSupport;

namespace TrainServe.Core.Tests.Tokenization;

public class ByteLevelEncoderTests
{
    private static readonly ByteLevelEncoder Encoder = Make();

    [Fact]
    public void Long_words_are_encoded_as_short_ones_are() => Texts.Any.Where(text => text.Length > 0).Sample(word =>
        Assert.Equal(Encode(word, asLong: false), Encode(word, asLong: true)), iter: 3000);

    [Fact]
    public void Repeated_letters_merge_from_the_left() => Gen.Int[1, 60].Select(count => new string('a', count)).Sample(word =>
        Assert.Equal(Encode(word, asLong: false), Encode(word, asLong: true)), iter: 100);

    [Fact]
    public void The_cache_changes_nothing_also_when_it_starts_over()
    {
        for (int i = 0; i < 140_000; i++)
        {
            var ids = new List<int>();
            Encoder.Encode($" {i}", ids);
            if (i % 1000 == 0)
            {
                Assert.Equal(Encode($" {i}", asLong: true), ids);
            }
        }
    }

    [Fact]
    public void Threads_may_share_a_tokenizer() => Parallel.For(0, 200, new ParallelOptions { MaxDegreeOfParallelism = 4 }, i =>
    {
        string text = string.Concat(Enumerable.Range(0, 50).Select(j => $" the{(i * j) % 97} cat"));
        Assert.Equal(text, SmallTokenizers.Ours.Decode(SmallTokenizers.Ours.Encode(text)));
    });

    private static List<int> Encode(string word, bool asLong)
    {
        var ids = new List<int>();
        Encoder.EncodeUncached(word, ids, asLong);
        return ids;
    }

    private static ByteLevelEncoder Make()
    {
        using var directory = new TemporaryDirectory();
        directory.WriteText("tokenizer.json", SmallTokenizers.Json(words: [.. SmallTokenizers.Words, "aa", "aaaa", "aaa"]).ToJsonString());
        return new ByteLevelEncoder(TokenizerJsonReader.Read(directory.PathOf("tokenizer.json")));
    }
}
