using CsCheck;
using TrainServe.Inference.Decoding;

namespace TrainServe.Inference.Tests.Decoding;

public sealed class StopStringMatcherTests
{
    // Two letters make partial and overlapping matches common.
    private static readonly Gen<string> Word = Gen.String[Gen.Char["ab"], 0, 30];
    private static readonly Gen<string[]> Stops = Gen.String[Gen.Char["ab"], 1, 6].Array[0, 4];

    [Fact]
    public void Text_in_pieces_ends_where_a_search_of_the_whole_text_says()
    {
        Gen.Select(Word, Stops, Gen.Int[1, 5].Array[0, 30]).Sample((text, stops, sizes) =>
        {
            var matcher = new StopStringMatcher(stops);
            string released = "";
            foreach (string piece in Cut(text, sizes))
            {
                released += matcher.Push(piece);
                Assert.StartsWith(released, text, StringComparison.Ordinal);
            }
            released += matcher.Flush();

            var (expected, stop) = Search(text, stops);
            Assert.Equal(expected, released);
            Assert.Equal(stop, matcher.Matched);
            Assert.Equal(stop is not null, matcher.IsMatched);
        }, iter: 20_000);
    }

    [Fact]
    public void Nothing_is_held_back_that_cannot_begin_a_stop_string()
    {
        Gen.Select(Word, Stops).Sample((text, stops) =>
        {
            var matcher = new StopStringMatcher(stops);
            string released = string.Concat(text.Select(letter => matcher.Push($"{letter}")));
            if (!matcher.IsMatched)
            {
                string held = text[released.Length..];
                Assert.True(held.Length == 0 || stops.Any(stop => stop.Length > held.Length && stop.StartsWith(held, StringComparison.Ordinal)));
            }
        }, iter: 20_000);
    }

    [Fact]
    public void A_stop_string_across_pieces_never_shows()
    {
        var matcher = new StopStringMatcher(["\nUser:"]);

        Assert.Equal("Hello", matcher.Push("Hello\n"));
        Assert.Equal("", matcher.Push("Us"));
        Assert.Equal("", matcher.Push("er: and more"));
        Assert.Equal("\nUser:", matcher.Matched);
        Assert.Equal("", matcher.Push("even more"));
        Assert.Equal("", matcher.Flush());
    }

    [Fact]
    public void Text_that_only_looked_like_a_stop_string_comes_out_whole()
    {
        var matcher = new StopStringMatcher(["END"]);

        Assert.Equal("the ", matcher.Push("the EN"));
        Assert.Equal("ENtry E", matcher.Push("try EE"));
        Assert.Equal("E", matcher.Flush());
    }

    [Fact]
    public void An_empty_stop_string_is_refused() => Assert.Throws<ArgumentException>(() => new StopStringMatcher(["a", ""]));

    private static IEnumerable<string> Cut(string text, int[] sizes)
    {
        int at = 0;
        foreach (int size in sizes)
        {
            int take = Math.Min(size, text.Length - at);
            yield return text.Substring(at, take);
            at += take;
        }
        yield return text[at..];
    }

    // The stop string that is completed first; the longest of several that end together.
    private static (string Text, string? Stop) Search(string text, string[] stops)
    {
        for (int end = 1; end <= text.Length; end++)
        {
            if (stops.Where(stop => text[..end].EndsWith(stop, StringComparison.Ordinal)).MaxBy(stop => stop.Length) is { } found)
            {
                return (text[..(end - found.Length)], found);
            }
        }
        return (text, null);
    }
}
