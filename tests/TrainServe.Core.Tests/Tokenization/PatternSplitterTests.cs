using System.Text.RegularExpressions;
using CsCheck;
using TrainServe.Core.Tokenization;

namespace TrainServe.Core.Tests.Tokenization;

public class PatternSplitterTests
{
    public static TheoryData<string> Patterns => [PatternSplitter.Gpt2Pattern, PatternSplitter.SingleDigitPattern, PatternSplitter.TripleDigitPattern];

    [Theory, MemberData(nameof(Patterns))]
    public void The_hand_written_splitter_is_the_regex_on_the_basic_plane(string pattern)
    {
        var regex = new Regex(pattern, RegexOptions.CultureInvariant);
        var splitter = PatternSplitter.TryGet(pattern)!;
        // .NET's case folding leaves out U+017F, which Hugging Face's does not.
        Texts.BasicPlane.Where(text => !text.Contains('ſ')).Sample(
            text => Assert.Equal(regex.Matches(text).Select(match => (match.Index, match.Length)), splitter.PreTokenize(text)), iter: 20_000);
    }

    [Theory, MemberData(nameof(Patterns))]
    public void The_regex_way_is_the_hand_written_one_on_all_planes(string pattern)
    {
        var (byHand, byRegex) = (PatternSplitter.TryGet(pattern)!, RegexSplitter.Create(pattern));
        Texts.Any.Where(text => !text.Contains('ſ')).Sample(text => Assert.Equal(byHand.PreTokenize(text), byRegex.PreTokenize(text)), iter: 2000);
    }

    [Theory]
    [InlineData("𝐀𝐁 𝟘𝟙", PatternSplitter.SingleDigitPattern, new[] { "𝐀𝐁", " ", "𝟘", "𝟙" })]
    [InlineData("𝐀𝐁 𝟘𝟙", PatternSplitter.Gpt2Pattern, new[] { "𝐀𝐁", " 𝟘𝟙" })]
    [InlineData("1234567", PatternSplitter.TripleDigitPattern, new[] { "123", "456", "7" })]
    [InlineData("I'LL it's", PatternSplitter.SingleDigitPattern, new[] { "I", "'LL", " it", "'s" })]
    [InlineData("I'LL it's", PatternSplitter.Gpt2Pattern, new[] { "I", "'", "LL", " it", "'s" })]
    [InlineData("it'ſo", PatternSplitter.SingleDigitPattern, new[] { "it", "'ſ", "o" })]
    [InlineData("a  b \n\n  c", PatternSplitter.SingleDigitPattern, new[] { "a", " ", " b", " \n\n", " ", " c" })]
    [InlineData("hm?!\n\nyes", PatternSplitter.SingleDigitPattern, new[] { "hm", "?!\n\n", "yes" })]
    public void Words_are_cut_where_the_pattern_says(string text, string pattern, string[] words) =>
        Assert.Equal(words, PatternSplitter.TryGet(pattern)!.PreTokenize(text).Select(word => text.Substring(word.Offset, word.Length)));

    [Theory]
    [InlineData(@"\p{L}++|.", "++")]
    [InlineData(@"\w+|.", @"\w")]
    [InlineData(@"[[:alpha:]]+", "[[:alpha:]")]
    [InlineData(@"[\p{L}&&[^a]]+", "&&")]
    public void A_pattern_that_means_something_else_in_dotnet_is_refused(string pattern, string construct) =>
        Assert.Contains(construct, Assert.Throws<NotSupportedException>(() => RegexSplitter.Create(pattern)).Message);

    [Fact]
    public void What_an_unknown_pattern_leaves_out_is_a_word_of_its_own()
    {
        var splitter = RegexSplitter.Create(@"\p{L}+");
        Assert.Equal([(0, 2), (2, 2), (4, 1)], splitter.PreTokenize("ab12c"));
        Assert.Equal([(0, 2), (2, 1), (3, 2)], splitter.PreTokenize("𝐀 𝐁"));
    }

    [Fact]
    public void Splitters_in_sequence_work_inside_the_words_of_the_one_before() =>
        Assert.Equal([(0, 1), (1, 1), (2, 2), (4, 1)], new SequenceSplitter([RegexSplitter.Create(@"\p{N}"), PatternSplitter.Gpt2]).PreTokenize("12ab3"));
}
