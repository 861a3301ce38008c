using System.Text.Json;
using System.Text.RegularExpressions;
using TrainServe.Inference.Constraints;
using static TrainServe.Inference.Tests.Constraints.GrammarTexts;

namespace TrainServe.Inference.Tests.Constraints;

public sealed class RegexGrammarTests
{
    private static readonly string[] Patterns =
    [
        "^abc$", "^(a|bc)+d?$", "^[a-f0-9]{2,4}$", "^[^a-z\"]{1,3}$", "^\\d{3}-\\w*\\.$", "^(?:x{2}|y{0,2}z){1,3}$", "^.{2}$", "^[]a-]+$", "^\"\\\\$", "^é+?$", "^(a|)b$", "b+",
    ];

    [Fact]
    public void What_is_drawn_matches_the_pattern()
    {
        foreach (string pattern in Patterns)
        {
            var regex = new Regex(pattern, RegexOptions.CultureInvariant);
            for (ulong seed = 0; seed < 40; seed++)
            {
                var (text, complete, _) = Draw(RegexGrammar.Make(pattern, json: false), seed, 60);
                Assert.True(complete && regex.IsMatch(OneUnitEach(text)), $"{pattern}: {text}");
                var (json, whole, _) = Draw(GrammarNode.Join(GrammarNode.Text("\""), RegexGrammar.Make(pattern, json: true), GrammarNode.Text("\"")), seed, 60);
                Assert.True(whole && regex.IsMatch(OneUnitEach(JsonSerializer.Deserialize<string>(json)!)), $"{pattern}: {json}");
            }
        }
    }

    // .NET's expressions count UTF-16 code units, of which some characters have two.
    private static string OneUnitEach(string text) => string.Concat(text.EnumerateRunes().Select(rune => rune.IsBmp ? rune.ToString() : "é"));

    [Fact]
    public void A_text_is_taken_if_and_only_if_it_matches()
    {
        string[] texts = ["abc", "ab", "bcad", "a", "ff0", "fffff", "\"x", "123-_.", "123-.", "xx", "zyz", "ab\n", "]-a", "\"\\", "éé", "b", "ab", "xbbx", ""];
        foreach (string pattern in Patterns)
        {
            foreach (string text in texts.Where(text => !text.Contains('\n')))
            {
                Assert.True(Regex.IsMatch(text, pattern) == Accepts(RegexGrammar.Make(pattern, json: false), text), $"{pattern} and '{text}'");
            }
        }
    }

    [Theory]
    [InlineData("(a", "a group is not closed")]
    [InlineData("a)", "')' is not expected")]
    [InlineData("*a", "there is nothing to repeat")]
    [InlineData("[a", "a class is not closed")]
    [InlineData("a{3,2}", "the first number of a count is above the second")]
    [InlineData("a{99999}", "a count must be")]
    [InlineData("a\\b", "'\\b' is not supported")]
    [InlineData("(?<n>a)", "only '(?:' is supported")]
    [InlineData("a^b", "anchors are supported at the ends only")]
    public void What_is_not_supported_is_refused_with_its_place(string pattern, string fault) =>
        Assert.Contains(fault, Assert.Throws<FormatException>(() => RegexGrammar.Make(pattern, json: false)).Message);
}
