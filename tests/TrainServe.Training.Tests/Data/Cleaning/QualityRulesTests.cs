using CsCheck;
using TrainServe.Training.Data.Cleaning;

namespace TrainServe.Training.Tests.Data.Cleaning;

public sealed class QualityRulesTests
{
    private const string Good = """
        Once there was a small boat that wanted to see the sea. It lived with a fisher and his dog, and every morning the three of them looked at the waves together.
        One day the wind was kind. "Let us go," said the fisher, and he untied the rope. The boat had never been so happy in its life.
        They passed the old lighthouse, two grey seals and an island of sleepy birds. When evening came they turned home, where supper was waiting.
        """;

    [Fact]
    public void A_good_text_passes_every_rule()
    {
        var profile = new TextProfile(Good);
        Assert.All(QualityRules.All, rule => Assert.Null(rule.FaultOf(profile)));
    }

    [Theory]
    [InlineData("words", "It was too short to be a text.")]
    [InlineData("mean-word-length", "a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g h i j k l m n o p q r s t u v w x y z")]
    [InlineData("symbols", "# children # mothers # fathers # sisters # brothers # that # have # with the seventeen houses that stand along seven rivers under green forests where horses drink every morning before people come with heavy baskets full of apples cherries pears plums bread butter cheese honey candles blankets letters stories songs dreams")]
    [InlineData("words-with-letter", "1234 5678 9012 3456 7890 1234 5678 9012 3456 7890 1234 5678 9012 3456 7890 1234 5678 9012 3456 7890 1234 5678 9012 3456 7890 1234 5678 9012 3456 7890 1234 5678 9012 3456 7890 1234 5678 9012 3456 7890 the dog and cat with bird for fish from tree")]
    [InlineData("stop-words", "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar papa quebec romeo sierra tango uniform victor whiskey xray yankee zulu amber brown cyan denim ebony fawn green henna ivory jade khaki lilac mauve navy ochre pink quartz rose sepia teal umber violet white yellow zinc")]
    public void The_first_rule_that_a_bad_text_breaks_is_named(string rule, string text)
    {
        var profile = new TextProfile(text);
        Assert.Equal(rule, QualityRules.All.First(candidate => candidate.FaultOf(profile) is not null).Name);
    }

    [Theory]
    [InlineData("repeated-lines", "one line\none line\none line\nanother line", 0.5)]
    [InlineData("repeated-line-characters", "aaaa\naaaa\nbb", 0.4)]
    [InlineData("repeated-paragraphs", "one\n\ntwo\n\none\n\nthree", 0.25)]
    [InlineData("repeated-paragraph-characters", "aaa\n\nb\n\naaa\n\nccc", 0.3)]
    [InlineData("top-2-gram", "ab cd ab cd ee ff", 8.0 / 12)]
    [InlineData("bullet-lines", "- one\n* two\nthree\n\u2022 four", 0.75)]
    [InlineData("ellipsis-lines", "wait...\ngo\nlook\u2026\nstop", 0.5)]
    [InlineData("symbols", "# one two three", 0.25)]
    [InlineData("sentences", "Who? \"Me!\" he said. So it was", 3)]
    [InlineData("stop-words", "The cat, \"and\" the dog", 2)]
    [InlineData("curly-bracket", "if (a) { b }", 1)]
    [InlineData("lorem-ipsum", "Lorem Ipsum dolor", 1)]
    public void A_measure_has_the_value_counted_by_hand(string rule, string text, double expected) =>
        Assert.Equal(expected, QualityRules.All.Single(candidate => candidate.Name == rule).Of(new TextProfile(text)), 10);

    [Fact]
    public void A_repeated_run_of_words_counts_once_and_not_at_its_first_occurrence()
    {
        // 12 words of one character, of which the last six repeat the first six.
        var profile = new TextProfile("a b c d e f a b c d e f");
        Assert.Equal(0.5, profile.InRepeatedRuns(5), 10);
        Assert.Equal(0.5, profile.InRepeatedRuns(6), 10);
        Assert.Equal(0, profile.InRepeatedRuns(7), 10);
        Assert.Equal(4.0 / 12, profile.MostFrequent(2), 10);
    }

    [Fact]
    public void A_longer_run_is_repeated_only_where_a_run_of_five_is() => Gen.Int[0, 3].Array[0, 60].Sample(words =>
    {
        var profile = new TextProfile(string.Join(' ', words.Select(word => (char)('a' + word))));
        for (int n = 6; n <= 10; n++)
        {
            Assert.True(profile.InRepeatedRuns(n) <= profile.InRepeatedRuns(5) + 1e-12);
        }
    }, iter: 300);

    [Fact]
    public void Rules_are_chosen_by_list_and_by_name()
    {
        Assert.All(QualityRules.Choose(["gopher"], ["words"]), rule => Assert.True(rule.Family == "gopher" && rule.Name != "words"));
        Assert.Equal(QualityRules.All, QualityRules.Choose([.. QualityRules.Families], []));
        Assert.Contains("there are gopher, gopher-repetition, c4", Assert.Throws<ArgumentException>(() => QualityRules.Choose(["penguin"], [])).Message);
        Assert.Contains("there are words", Assert.Throws<ArgumentException>(() => QualityRules.Choose(["c4"], ["penguin"])).Message);
    }

    [Fact]
    public void An_empty_text_has_measures() => Assert.All(QualityRules.All, rule => Assert.False(double.IsNaN(rule.Of(new TextProfile("")))));
}
