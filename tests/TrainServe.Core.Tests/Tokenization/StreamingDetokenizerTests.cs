using CsCheck;
using TrainServe.Core.Tokenization;
using TrainServe.TestSupport;

namespace TrainServe.Core.Tests.Tokenization;

public class StreamingDetokenizerTests
{
    [Fact]
    public void The_pieces_joined_are_the_whole_for_any_ids_also_invalid_ones()
    {
        foreach (var tokenizer in new[] { SmallTokenizers.Ours, SmallTokenizers.SentencePiece })
        {
            var ids = Gen.Frequency((2, Gen.Int[0, tokenizer.VocabSize - 1]), (2, Gen.Int[0x80, 0xFF])).Array[0, 30];
            Gen.Select(ids, Gen.Bool, Gen.Bool).Sample((sequence, skipSpecial, atStart) =>
            {
                var detokenizer = new StreamingDetokenizer(tokenizer, skipSpecial, atStart);
                string joined = string.Concat(sequence.Select(detokenizer.Push)) + detokenizer.Flush();
                Assert.Equal(tokenizer.Decode(sequence, skipSpecial, atStart), joined);
            }, iter: 5000);
        }
    }

    [Fact]
    public void No_piece_holds_part_of_a_character() => Texts.Any.Sample(text =>
    {
        var detokenizer = new StreamingDetokenizer(SmallTokenizers.Ours);
        foreach (int id in SmallTokenizers.Ours.Encode(text))
        {
            string piece = detokenizer.Push(id);
            Assert.DoesNotContain("\uFFFD", piece.Replace("\uFFFD", text.Contains('\uFFFD') ? "" : "\uFFFD"));
            Assert.False(piece.Length > 0 && (char.IsLowSurrogate(piece[0]) || char.IsHighSurrogate(piece[^1])));
        }
        Assert.Equal("", detokenizer.Flush());
    }, iter: 1000);

    [Fact]
    public void A_character_waits_for_its_last_byte()
    {
        var detokenizer = new StreamingDetokenizer(SmallTokenizers.Ours);
        Assert.Equal(["", "", "", "🍰"], new[] { 0xF0, 0x9F, 0x8D, 0xB0 }.Select(detokenizer.Push));
    }

    [Fact]
    public void A_text_that_stops_inside_a_character_ends_with_the_replacement_character()
    {
        var detokenizer = new StreamingDetokenizer(SmallTokenizers.Ours);
        Assert.Equal("", detokenizer.Push(0xF0));
        Assert.Equal("\uFFFD", detokenizer.Flush());
    }
}
