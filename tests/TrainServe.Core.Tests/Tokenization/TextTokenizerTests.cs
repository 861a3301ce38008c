using System.Text;
using CsCheck;
using TrainServe.Core.Tokenization;
using TrainServe.TestSupport;

namespace TrainServe.Core.Tests.Tokenization;

public class TextTokenizerTests
{
    private static readonly Gen<string> AnyText = Texts.Any;

    [Fact]
    public void Merges_apply_in_the_order_of_their_ranks()
    {
        var tokenizer = SmallTokenizers.Ours;
        Assert.Equal(["Once", " upon", " a", " time", ",", " the", " cat", "'s"], tokenizer.Encode("Once upon a time, the cat's").Select(id => Encoding.UTF8.GetString(tokenizer.TokenBytes(id))));
    }

    [Fact]
    public void Every_text_comes_back() =>
        AnyText.Sample(text => Assert.Equal(text, SmallTokenizers.Ours.Decode(SmallTokenizers.Ours.Encode(text))), iter: 2000);

    [Fact]
    public void Every_text_comes_back_from_a_sentencepiece_vocabulary() =>
        // Its own underline stands for a space: the one character that cannot come back.
        AnyText.Where(text => !text.Contains('▁')).Sample(text => Assert.Equal(text, SmallTokenizers.SentencePiece.Decode(SmallTokenizers.SentencePiece.Encode(text))), iter: 2000);

    [Fact]
    public void The_tokens_of_a_text_are_its_bytes() => AnyText.Sample(
        text => Assert.Equal(Encoding.UTF8.GetBytes(text), SmallTokenizers.Ours.Encode(text).SelectMany(id => SmallTokenizers.Ours.TokenBytes(id).ToArray())), iter: 500);

    [Fact]
    public void Every_byte_sequence_has_tokens_that_give_it_back()
    {
        Gen.Byte.Array[0, 100].Sample(bytes =>
            Assert.Equal(bytes, bytes.SelectMany(value => SmallTokenizers.Ours.TokenBytes(value).ToArray())), iter: 200);
        int firstByte = SmallTokenizers.SentencePiece.Special.TryGetId("</s>")!.Value + 1;
        Assert.All(Enumerable.Range(0, 256), value => Assert.Equal([(byte)value], SmallTokenizers.SentencePiece.TokenBytes(firstByte + value).ToArray()));
    }

    [Fact]
    public void A_sentencepiece_tokenizer_takes_the_space_away_that_it_wrote_before_the_first_word()
    {
        var tokenizer = SmallTokenizers.SentencePiece;
        Assert.Equal(tokenizer.Encode("the")[0], tokenizer.Encode("a the")[^1]);
        Assert.Equal("the", tokenizer.Decode(tokenizer.Encode("the")));
        Assert.Equal(" the", tokenizer.Decode(tokenizer.Encode("the"), atStart: false));
        Assert.Equal("  the", tokenizer.Decode(tokenizer.Encode("  the")));
    }

    [Fact]
    public void A_lone_surrogate_becomes_the_replacement_character()
    {
        Assert.Equal("a\uFFFDb", SmallTokenizers.Ours.Decode(SmallTokenizers.Ours.Encode("a\uD800b")));
        Assert.Equal("\uFFFD\uFFFD😀", SmallTokenizers.Ours.Decode(SmallTokenizers.Ours.Encode("\uDC00\uD83D😀")));
    }

    [Fact]
    public void Text_never_becomes_a_control_token()
    {
        foreach (var tokenizer in new[] { SmallTokenizers.Ours, SmallTokenizers.SentencePiece })
        {
            var spelled = Texts.OneOf([.. tokenizer.Special.Ids.Keys, "<|", "|>", "<", "s>", " ", "\n", "x", "</", "<0x01>"]);
            spelled.Array[1, 8].Select(string.Concat).Sample(text => Assert.DoesNotContain(tokenizer.Encode(text), tokenizer.Special.IsSpecial), iter: 3000);
        }
    }

    [Fact]
    public void A_control_token_has_an_id_and_no_bytes()
    {
        var tokenizer = SmallTokenizers.Ours;
        int end = tokenizer.Special.TryGetId("<|end|>")!.Value;
        Assert.True(tokenizer.Special.IsSpecial(end));
        Assert.Empty(tokenizer.TokenBytes(end).ToArray());
        Assert.Equal("a b", tokenizer.Decode([.. tokenizer.Encode("a"), end, .. tokenizer.Encode(" b")]));
        Assert.Equal("a<|end|> b", tokenizer.Decode([.. tokenizer.Encode("a"), end, .. tokenizer.Encode(" b")], skipSpecial: false));
    }

    [Fact]
    public void Padding_is_never_the_end_of_the_text()
    {
        var special = SmallTokenizers.Ours.Special;
        Assert.Equal(special.TryGetId("<|endoftext|>"), special.EosId);
        Assert.Equal(special.EosId, special.BosId);
        Assert.Equal(special.TryGetId("<|pad|>"), special.PadId);
        var config = new System.Text.Json.Nodes.JsonObject { ["eos_token"] = "<|endoftext|>", ["pad_token"] = "<|endoftext|>" };
        Assert.NotEqual(special.EosId, SmallTokenizers.Load(SmallTokenizers.Json(), config).Special.PadId);
    }

    [Fact]
    public void Ids_outside_the_vocabulary_are_refused()
    {
        Assert.Equal("", SmallTokenizers.Ours.Decode([SmallTokenizers.Ours.VocabSize, int.MaxValue]));
        Assert.Throws<ArgumentOutOfRangeException>(() => SmallTokenizers.Ours.Decode([-1]));
    }

    [Fact]
    public void A_word_of_any_length_takes_about_linear_time_and_comes_back()
    {
        foreach (string text in new[] { new string(' ', 300_000), new string('a', 300_000), string.Concat(Enumerable.Repeat("the", 100_000)) })
        {
            Assert.Equal(text, SmallTokenizers.Ours.Decode(SmallTokenizers.Ours.Encode(text)));
            Assert.Equal(text, SmallTokenizers.SentencePiece.Decode(SmallTokenizers.SentencePiece.Encode(text)));
        }
    }
}

/// <summary>Text of every kind: ASCII, accents, digits, scripts outside the Basic Multilingual Plane, controls, white space, control tokens spelled out.</summary>
internal static class Texts
{
    private static readonly Gen<string> Rune = Gen.Frequency(
        (6, Gen.Char[' ', '~'].Select(unit => unit.ToString())),
        (2, OneOf(" ", "  ", "\n", "\r\n", "\t", "\u00A0", "\u2028", "\u0085", "'s", "'LL", "'ſ", "12", "é", "e\u0301", "\uFFFE", "\0", "▁")),
        (2, Gen.Int[0, 0xFFFF].Where(code => code is < 0xD800 or > 0xDFFF).Select(code => ((char)code).ToString())),
        (1, Gen.Int[0x10000, 0x10FFFF].Select(char.ConvertFromUtf32)),
        (1, OneOf("𝐀", "𞤀", "𐒠", "𝟘", "😀", "👩‍👩‍👧", "🇩🇪", "𠀀")),
        (1, OneOf([.. SmallTokenizers.Words, "<|end|>", "<|endoftext|>", "<s>"])));

    public static Gen<T> OneOf<T>(params T[] values) => Gen.Int[0, values.Length - 1].Select(i => values[i]);

    public static Gen<string> Any { get; } = Rune.Array[0, 40].Select(string.Concat);

    public static Gen<string> BasicPlane { get; } = Gen.Frequency(
        (3, Gen.Char[' ', '~']), (2, OneOf(' ', '\n', '\r', '\t', '\'', '\u00A0', '\u3000', 's', 'L', 'v', 'E')), (2, Gen.Char['\0', '\uD7FF']), (1, Gen.Char['\uE000', '\uFFFF']))
        .Array[0, 40].Select(units => new string(units));
}
