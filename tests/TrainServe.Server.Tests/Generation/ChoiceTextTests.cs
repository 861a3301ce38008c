using System.Text;
using TrainServe.Core.Sampling;
using TrainServe.Core.Tokenization;
using TrainServe.Inference;
using TrainServe.Server.Generation;
using TrainServe.TestSupport;

namespace TrainServe.Server.Tests.Generation;

public sealed class ChoiceTextTests
{
    private readonly TextTokenizer _tokenizer = SmallTokenizers.Ours;

    [Fact]
    public void A_character_of_several_tokens_comes_out_whole()
    {
        var deltas = Run("aé€😀", []);
        Assert.Equal("aé€😀", string.Concat(deltas.Select(delta => delta.Text)));
        Assert.All(deltas, delta => Assert.DoesNotContain('\uFFFD', delta.Text));
        Assert.Equal(4, deltas.Count(delta => delta.Text.Length > 0));
    }

    [Fact]
    public void A_text_that_ends_inside_a_character_shows_it()
    {
        var choice = new ChoiceText(0, _tokenizer, [], logProbs: false);
        Assert.Equal("", choice.Push(new GeneratedToken(0xC3, 0, [], null)).Text);
        var last = choice.Push(new GeneratedToken('a', 0, [], FinishReason.Length));
        Assert.Equal(("\uFFFDa", "length"), (last.Text, last.FinishReason));
    }

    [Theory]
    [InlineData("one two three", "two", "one ")]
    [InlineData("aab", "ab", "a")]
    [InlineData("ababac", "abac", "ab")]
    [InlineData("é€", "€", "é")]
    [InlineData("no such thing", "xyz", "no such thing")]
    [InlineData("ends with a part: xy", "xyz", "ends with a part: xy")]
    public void Nothing_of_a_stop_text_gets_out(string text, string stop, string expected)
    {
        var deltas = Run(text, [stop]);
        Assert.Equal(expected, string.Concat(deltas.Select(delta => delta.Text)));
        Assert.Equal("stop", deltas[^1].FinishReason);
    }

    [Fact]
    public void The_first_of_several_stop_texts_counts()
    {
        var deltas = Run("one two three", ["three", "two"]);
        Assert.Equal("one ", string.Concat(deltas.Select(delta => delta.Text)));
    }

    [Fact]
    public void Every_token_of_the_answer_has_its_log_probability_once_and_in_order()
    {
        var deltas = Run("aé€b", [], logProbs: true);
        var entries = deltas.SelectMany(delta => delta.LogProbs).ToArray();
        Assert.Equal("aé€b", Encoding.UTF8.GetString([.. entries.SelectMany(entry => entry.Bytes!).Select(value => (byte)value)]));
        Assert.Equal(7, entries.Length);
        Assert.Equal("a", entries[0].Token);
        Assert.Equal([0xC3], entries[1].Bytes!);
    }

    [Fact]
    public void Tokens_of_the_stop_text_have_no_log_probability()
    {
        var deltas = Run("ab##cd", ["##"], logProbs: true);
        Assert.Equal(["a", "b"], deltas.SelectMany(delta => delta.LogProbs).Select(entry => entry.Token));
    }

    [Fact]
    public void Log_probabilities_without_a_number_become_one_that_JSON_has()
    {
        var choice = new ChoiceText(0, _tokenizer, [], logProbs: true);
        var delta = choice.Push(new GeneratedToken('a', float.NegativeInfinity, [new TokenLogProb('b', float.NegativeInfinity)], null));
        Assert.Equal((-9999f, -9999f), (delta.LogProbs[0].Logprob, delta.LogProbs[0].TopLogprobs[0].Logprob));
    }

    [Fact]
    public void The_token_that_ends_the_answer_is_counted_but_not_shown()
    {
        var choice = new ChoiceText(0, _tokenizer, [], logProbs: true);
        choice.Push(new GeneratedToken('a', 0, [], null));
        var last = choice.Push(new GeneratedToken(_tokenizer.Special.EosId, 0, [], FinishReason.Stop));
        Assert.Equal(("", "stop", 0, 2), (last.Text, last.FinishReason, last.LogProbs.Count, choice.Tokens));
    }

    private List<ChoiceDelta> Run(string text, string[] stops, bool logProbs = false)
    {
        var choice = new ChoiceText(0, _tokenizer, stops, logProbs);
        var deltas = new List<ChoiceDelta>();
        foreach (int id in Encoding.UTF8.GetBytes(text).Select(value => (int)value).Append(_tokenizer.Special.EosId))
        {
            deltas.Add(choice.Push(new GeneratedToken(id, -1, [], id == _tokenizer.Special.EosId ? FinishReason.Stop : null)));
            if (deltas[^1].FinishReason is not null)
            {
                break;
            }
        }
        return deltas;
    }
}
