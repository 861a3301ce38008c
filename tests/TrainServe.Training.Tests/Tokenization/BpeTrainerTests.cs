using System.Text;
using CsCheck;
using TrainServe.Core;
using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.Core.Tokenization;
using TrainServe.TestSupport;
using TrainServe.Training.Tokenization;

namespace TrainServe.Training.Tests.Tokenization;

public class BpeTrainerTests
{
    private static readonly Gen<string> AnyText = Gen.Frequency(
        (4, Gen.Char['a', 'e'].Select(unit => unit.ToString())), (2, Gen.Const(" ")), (1, Gen.Char['0', '9'].Select(unit => unit.ToString())),
        (1, Gen.Int[0, 4].Select(i => new[] { "\n", "é", "語", "😀", "\r\n" }[i]))).Array[1, 60].Select(string.Concat);

    [Fact]
    public void The_most_frequent_pair_is_merged_first_and_ties_go_to_the_smaller_ids()
    {
        // Words: hug 10, pug 5, pun 12, bun 4, hugs 5: the worked example of Hugging Face's course, which finds ug, un, hug in this order.
        string text = string.Join("", Repeat("hug", 10), Repeat("pug", 5), Repeat("pun", 12), Repeat("bun", 4), Repeat("hugs", 5)).Replace(" ", "\n");
        var vocabulary = Train([text], 256 + 8 + 3);
        Assert.Equal(["ug", "un", "hug"], vocabulary.Tokens.Skip(256).Select(Encoding.UTF8.GetString));

        static string Repeat(string word, int times) => string.Concat(Enumerable.Repeat(word + " ", times));
    }

    [Fact]
    public void It_learns_what_the_plain_algorithm_learns() => AnyText.Array[1, 4].Sample(texts =>
    {
        var expected = PlainTrainer.Train(texts, 40, minFrequency: 2);
        Assert.Equal(expected, Train(texts, 256 + 8 + 40).Tokens.Skip(256).Select(Convert.ToHexString));
    }, iter: 300);

    [Fact]
    public void The_result_depends_on_neither_threads_nor_the_order_of_documents() => AnyText.Array[2, 6].Sample(texts =>
    {
        var one = Train(texts, 300, threads: 1);
        var other = Train([.. texts.Reverse()], 300, threads: 3);
        Assert.Equal(one.Merges, other.Merges);
        Assert.Equal((one.CorpusBytes, one.CorpusTokens, one.UniqueWords), (other.CorpusBytes, other.CorpusTokens, other.UniqueWords));
    }, iter: 100);

    [Fact]
    public void A_long_document_is_counted_in_parts_without_cutting_a_word()
    {
        var text = new StringBuilder();
        var random = new Core.Random.PhiloxRandom(1);
        while (text.Length < 1_200_000)
        {
            text.Append("the quick brown fox  \n\n jumps?!\n\n\nover\r\n\t it's 42\n"[..random.NextInt32(50)]);
        }
        string whole = text.ToString();
        var counter = new WordCounter();
        counter.Count([new Document(whole, default)], 2, null, CancellationToken.None);
        var expected = PatternSplitter.SingleDigits.PreTokenize(whole).GroupBy(word => whole.Substring(word.Offset, word.Length), StringComparer.Ordinal).ToDictionary(group => group.Key, group => (long)group.Count(), StringComparer.Ordinal);
        Assert.Equal(expected.OrderBy(word => word.Key, StringComparer.Ordinal), counter.Counts.OrderBy(word => word.Key, StringComparer.Ordinal));
        Assert.Equal(Encoding.UTF8.GetByteCount(whole), counter.Bytes);
    }

    [Fact]
    public void Digits_stay_single() =>
        Assert.DoesNotContain(Train([string.Concat(Enumerable.Repeat("2024 1999 1000 ", 100))], 300).Tokens, token => token.Count(value => value is >= (byte)'0' and <= (byte)'9') > 1);

    [Fact]
    public void What_is_saved_encodes_the_corpus_in_as_many_tokens_as_were_counted_and_decodes_back()
    {
        using var directory = new TemporaryDirectory();
        string[] texts = ["Once upon a time there was a cat. The cat sat on the mat.\n\nThe end, she said: \"it's done\" 😀", "Once upon a mat sat the cat's café, 12 times."];
        var vocabulary = Train(texts, 320);
        var tokenizer = vocabulary.Save(directory.FullName);
        Assert.Equal(vocabulary.VocabSize, tokenizer.VocabSize);
        Assert.Equal(vocabulary.CorpusTokens, texts.Sum(text => tokenizer.Encode(text).Length));
        Assert.All(texts, text => Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text))));
        AnyText.Sample(text => Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text))), iter: 200);
    }

    [Fact]
    public void Bytes_come_first_then_merges_then_control_tokens()
    {
        using var directory = new TemporaryDirectory();
        var tokenizer = Train(["the cat the cat the cat"], 256 + 8 + 2).Save(directory.FullName);
        Assert.All(Enumerable.Range(0, 256), value => Assert.Equal([(byte)value], tokenizer.TokenBytes(value).ToArray()));
        Assert.Equal(SpecialTokens.Ours.Select((content, i) => (content, (int?)(258 + i))), SpecialTokens.Ours.Select(content => (content, tokenizer.Special.TryGetId(content))));
        Assert.Equal((258, 258, 259), (tokenizer.Special.BosId, tokenizer.Special.EosId, tokenizer.Special.PadId));
        Assert.Equal("trainserve", ChatTemplate.Load(directory.FullName, tokenizer).Name);
    }

    [Fact]
    public void A_vocabulary_stays_small_where_the_corpus_has_no_more_pairs()
    {
        var vocabulary = Train(["ab ab", "xy"], 5000);
        Assert.Equal(["ab"], vocabulary.Tokens.Skip(256).Select(Encoding.UTF8.GetString));
        Assert.Equal(3, Train(["ab ab", "xy"], 5000, minFrequency: 1).Tokens.Count - 256);
    }

    [Fact]
    public void Words_of_any_length_are_learned_from()
    {
        var vocabulary = Train([new string('=', 1_000_000) + "\n" + string.Concat(Enumerable.Repeat("😀", 100_000))], 300);
        Assert.Contains(vocabulary.Tokens, token => token.AsSpan().SequenceEqual("😀"u8));
        Assert.Equal(1_400_001, vocabulary.CorpusBytes);
    }

    [Fact]
    public void Sizes_that_cannot_be_are_refused()
    {
        Assert.Contains("too small", Assert.Throws<RecipeException>(() => Train(["text"], 263)).Message);
        Assert.Equal(264, new BpeTrainerConfig { VocabSize = 264 }.Validated().VocabSize);
        // Room for the bytes and the control tokens alone: nothing is merged.
        Assert.Empty(Train(["text text text"], 264).Merges);
        Assert.Throws<RecipeException>(() => Train(["text"], 300, minFrequency: 0));
    }

    [Fact]
    public void An_empty_corpus_is_refused()
    {
        Assert.Contains("no text", Assert.Throws<InvalidDataException>(() => Train([], 300)).Message);
        using var directory = new TemporaryDirectory();
        string path = directory.WriteText("empty.txt", "");
        Assert.StartsWith(path, Assert.Throws<InvalidDataException>(() => BpeTrainer.Train(DocumentReader.Read([path], BadRecords.Strict()), new BpeTrainerConfig { VocabSize = 300 })).Message);
    }

    [Fact]
    public void A_cancelled_training_stops() => Assert.ThrowsAny<OperationCanceledException>(() =>
        BpeTrainer.Train([new Document("text", default)], new BpeTrainerConfig { VocabSize = 300 }, cancellationToken: new CancellationToken(canceled: true)));

    private static BpeVocabulary Train(IReadOnlyList<string> texts, int vocabSize, int threads = 2, int minFrequency = 2) =>
        BpeTrainer.Train(texts.Select((text, i) => new Document(text, new RecordOrigin("text", i + 1))), new BpeTrainerConfig { VocabSize = vocabSize, Threads = threads, MinFrequency = minFrequency });

    /// <summary>The algorithm as the paper states it: count all pairs anew before each merge.</summary>
    private static class PlainTrainer
    {
        public static List<string> Train(IEnumerable<string> texts, int merges, int minFrequency)
        {
            var words = texts.SelectMany(text => PatternSplitter.SingleDigits.PreTokenize(text).Select(word => Encoding.UTF8.GetBytes(text.Substring(word.Offset, word.Length)).Select(value => (int)value).ToList())).ToList();
            var tokens = Enumerable.Range(0, 256).Select(value => value.ToString("X2")).ToList();
            while (tokens.Count < 256 + merges)
            {
                var pairs = words.SelectMany(word => word.Zip(word.Skip(1))).GroupBy(pair => pair).Select(group => (Pair: group.Key, Count: group.Count()))
                    .Where(pair => pair.Count >= minFrequency).OrderByDescending(pair => pair.Count).ThenBy(pair => pair.Pair.First).ThenBy(pair => pair.Pair.Second).ToList();
                if (pairs.Count == 0)
                {
                    break;
                }
                var (left, right) = pairs[0].Pair;
                int merged = tokens.IndexOf(tokens[left] + tokens[right]);
                if (merged < 0)
                {
                    merged = tokens.Count;
                    tokens.Add(tokens[left] + tokens[right]);
                }
                foreach (var word in words)
                {
                    for (int i = 0; i + 1 < word.Count; i++)
                    {
                        if (word[i] == left && word[i + 1] == right)
                        {
                            word[i] = merged;
                            word.RemoveAt(i + 1);
                        }
                    }
                }
            }
            return tokens[256..];
        }
    }
}
