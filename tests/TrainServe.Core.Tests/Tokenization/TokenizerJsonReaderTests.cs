using System.Text.Json.Nodes;
using TrainServe.Core.Tokenization;
using TrainServe.TestSupport;

namespace TrainServe.Core.Tests.Tokenization;

public class TokenizerJsonReaderTests
{
    public static TheoryData<string, string, string> Refusals => new()
    {
        // What is changed, to what, and what the message names.
        { "model.type", "\"WordPiece\"", "model.type is WordPiece" },
        { "model.dropout", "0.1", "model.dropout is 0.1" },
        { "model.continuing_subword_prefix", "\"##\"", "model.continuing_subword_prefix" },
        { "model.end_of_word_suffix", "\"</w>\"", "model.end_of_word_suffix" },
        { "model.vocab", "{}", "model.vocab is empty" },
        { "model.vocab", "{\"a\": 0, \"b\": 0}", "model.vocab[\"b\"] is 0" },
        { "model.vocab", "{\"a\": -1}", "model.vocab[\"a\"] is -1" },
        { "model.vocab", "{\"a\": \"x\"}", "model.vocab[\"a\"] must be a whole number" },
        { "model.vocab", "{\"a\": 99999999}", "model.vocab[\"a\"] is 99999999" },
        { "model.merges", "[\"ab\"]", "model.merges[0] is \"ab\"" },
        { "model.merges", "[[\"a\"]]", "model.merges[0] must be a pair" },
        { "model.merges", "[\"a zzz\"]", "'zzz' is not an ordinary token" },
        { "model.merges", "null", "model.merges is missing" },
        { "normalizer", "{\"type\": \"Lowercase\"}", "normalizer.type is \"Lowercase\"" },
        { "pre_tokenizer", "null", "pre_tokenizer has no ByteLevel step" },
        { "pre_tokenizer", "{\"type\": \"Whitespace\"}", "pre_tokenizer.type is Whitespace" },
        { "pre_tokenizer", "{\"type\": \"ByteLevel\", \"add_prefix_space\": true}", "pre_tokenizer.add_prefix_space is true" },
        { "pre_tokenizer.pretokenizers[0].behavior", "\"Removed\"", "pre_tokenizer.pretokenizers[0].behavior" },
        { "pre_tokenizer.pretokenizers[0].invert", "true", "pre_tokenizer.pretokenizers[0].invert" },
        { "pre_tokenizer.pretokenizers[0].pattern", "{\"Regex\": \"\\\\w+\"}", "pre_tokenizer.pretokenizers[0].pattern.Regex" },
        { "pre_tokenizer.pretokenizers[0].pattern", "{\"Regex\": \"(\"}", "pre_tokenizer.pretokenizers[0].pattern.Regex" },
        { "added_tokens", "[{\"id\": 90000, \"content\": \"\", \"special\": true}]", "added_tokens[0].content is empty" },
        { "added_tokens", "[{\"id\": 90000, \"content\": \"x\", \"lstrip\": true}]", "added_tokens[0].lstrip is true" },
        { "added_tokens", "[{\"id\": 90000, \"content\": \"x\"}, {\"id\": 90000, \"content\": \"y\"}]", "added_tokens[1]" },
        { "added_tokens", "[{\"id\": 97, \"content\": \"<x>\", \"special\": true}]", "added_tokens[0].id is 97, which is the id of the ordinary token a" },
    };

    [Theory, MemberData(nameof(Refusals))]
    public void What_is_not_implemented_or_damaged_is_refused_by_file_and_field(string field, string value, string expected)
    {
        var json = SmallTokenizers.Json();
        Set(json, field, value);
        string message = Assert.Throws<InvalidDataException>(() => SmallTokenizers.Load(json)).Message;
        Assert.Contains("tokenizer.json", message);
        Assert.Contains(expected, message);
    }

    public static TheoryData<string, string, string> SentencePieceRefusals => new()
    {
        { "pre_tokenizer", "{\"type\": \"Metaspace\"}", "pre_tokenizer must be null" },
        { "normalizer", "null", "normalizer must replace a space" },
        { "normalizer.normalizers[0].type", "\"Lowercase\"", "normalizer.normalizers[0].type" },
        { "decoder.decoders[3].start", "2", "decoder.decoders[3]" },
        { "model.vocab.<0x05>", "null", "model.vocab[\"<0x05>\"] is missing" },
        { "model.merges", "[]", "" },
    };

    [Theory, MemberData(nameof(SentencePieceRefusals))]
    public void The_same_holds_for_sentencepiece_vocabularies(string field, string value, string expected)
    {
        var json = SmallTokenizers.SentencePieceJson();
        Set(json, field, value);
        if (expected.Length == 0)
        {
            // Without merges every text is single characters and bytes.
            Assert.Equal(5, SmallTokenizers.Load(json).Encode("time").Length);
            return;
        }
        Assert.Contains(expected, Assert.Throws<InvalidDataException>(() => SmallTokenizers.Load(json)).Message);
    }

    [Fact]
    public void A_sentencepiece_vocabulary_must_list_every_way_to_make_a_token()
    {
        var json = SmallTokenizers.SentencePieceJson();
        var merges = json["model"]!["merges"]!.AsArray();
        merges.Remove(merges.Single(merge => (string?)merge == "t he"));
        Assert.Contains("lacks the pair 't he'", Assert.Throws<InvalidDataException>(() => SmallTokenizers.Load(json)).Message);
    }

    [Fact]
    public void Merges_as_pairs_and_as_texts_are_the_same()
    {
        var asPairs = SmallTokenizers.Load(SmallTokenizers.Json(pairs: true));
        var asTexts = SmallTokenizers.Load(SmallTokenizers.Json(pairs: false));
        Assert.Equal(asPairs.Encode("Once upon a time, the café"), asTexts.Encode("Once upon a time, the café"));
        Assert.NotEqual(asPairs.Sha256, asTexts.Sha256);
    }

    [Fact]
    public void A_normalizer_composes_text_and_leaves_the_noncharacter_that_dotnet_refuses()
    {
        var json = SmallTokenizers.Json();
        Set(json, "normalizer", "{\"type\": \"NFC\"}");
        var tokenizer = SmallTokenizers.Load(json);
        Assert.Equal("é\uFFFEé", tokenizer.Decode(tokenizer.Encode("e\u0301\uFFFEe\u0301")));
        Assert.Equal("e\u0301", SmallTokenizers.Ours.Decode(SmallTokenizers.Ours.Encode("e\u0301")));
    }

    [Fact]
    public void An_added_token_that_is_not_special_is_text_that_is_always_one_token()
    {
        var json = SmallTokenizers.Json();
        int first = json["added_tokens"]!.AsArray().Max(token => (int)token!["id"]!) + 1;
        foreach (var token in SmallTokenizers.Added(["<think>", "<think>>", "\n\n\n"], first, special: false))
        {
            json["added_tokens"]!.AsArray().Add(token!.DeepClone());
        }
        var tokenizer = SmallTokenizers.Load(json);
        Assert.Equal([.. tokenizer.Encode("the"), first, .. tokenizer.Encode(" cat"), first + 1, first + 2], tokenizer.Encode("the<think> cat<think>>\n\n\n"));
        Assert.Equal("<think>", tokenizer.Decode([first]));
        Assert.False(tokenizer.Special.IsSpecial(first));
    }

    [Fact]
    public void A_control_token_inside_the_vocabulary_is_still_never_text()
    {
        // As in GPT-2's own files, where the vocabulary holds <|endoftext|>; with ignore_merges a whole word could match it.
        var json = SmallTokenizers.Json();
        int id = (int)json["added_tokens"]![0]!["id"]!;
        json["model"]!["vocab"]!["<|endoftext|>"] = id;
        json["model"]!["ignore_merges"] = true;
        Set(json, "pre_tokenizer", "{\"type\": \"ByteLevel\", \"use_regex\": false}");
        var tokenizer = SmallTokenizers.Load(json);
        Assert.DoesNotContain(id, tokenizer.Encode("<|endoftext|>"));
        Assert.Equal("<|endoftext|>", tokenizer.Decode(tokenizer.Encode("<|endoftext|>")));
    }

    [Fact]
    public void With_ignore_merges_a_word_that_is_a_token_stays_whole()
    {
        var json = SmallTokenizers.Json();
        json["model"]!["vocab"]!["zebra"] = 9000;
        json["model"]!["ignore_merges"] = true;
        Assert.Equal([9000], SmallTokenizers.Load(json).Encode("zebra"));
        json["model"]!["ignore_merges"] = false;
        Assert.Equal(5, SmallTokenizers.Load(json).Encode("zebra").Length);
    }

    [Fact]
    public void Files_that_are_missing_or_no_json_are_named()
    {
        using var directory = new TemporaryDirectory();
        Assert.EndsWith("tokenizer.json does not exist.", Assert.Throws<FileNotFoundException>(() => TextTokenizer.Load(directory.FullName)).Message);
        directory.WriteText("tokenizer.json", "{\n\"model\": }");
        Assert.Contains("tokenizer.json, line 2", Assert.Throws<InvalidDataException>(() => TextTokenizer.Load(directory.FullName)).Message);
        directory.WriteText("tokenizer.json", "{\n\"model\": {\n\"vocab\": {\"\\ud800\": 1}}}");
        Assert.Contains("tokenizer.json, line 3 is not the JSON that is expected: a string has half of a surrogate pair", Assert.Throws<InvalidDataException>(() => TextTokenizer.Load(directory.FullName)).Message);
        directory.WriteText("tokenizer.json", "[]");
        Assert.Contains("tokenizer.json: the content must be an object", Assert.Throws<InvalidDataException>(() => TextTokenizer.Load(directory.FullName)).Message);
    }

    [Fact]
    public void Gpt2s_pair_of_files_is_read_and_damage_named_by_line()
    {
        using var directory = new TemporaryDirectory();
        string vocabulary = directory.WriteText("vocab.json", """{"a": 0, "b": 1, "Ġ": 2, "ab": 3, "Ġab": 4, "<|endoftext|>": 5}""");
        string merges = directory.WriteText("merges.txt", "#version: 0.2\na b\r\nĠ ab\n");
        var tokenizer = TextTokenizer.LoadVocabularyAndMerges(vocabulary, merges);
        Assert.Equal([3, 4, 0], tokenizer.Encode("ab ab<|endoftext|>a"[..5] + "a"));
        Assert.Equal(5, tokenizer.Special.EosId);
        // What the vocabulary lacks is dropped, as Hugging Face does.
        Assert.Equal([3, 0, 0], tokenizer.Encode("ab<|endoftext|>aa".Replace("endoftext", "")));
        directory.WriteText("merges.txt", "a b\nab\n");
        Assert.Contains("merges.txt, line 2 is 'ab'", Assert.Throws<InvalidDataException>(() => TextTokenizer.LoadVocabularyAndMerges(vocabulary, merges)).Message);
        Assert.Throws<FileNotFoundException>(() => TextTokenizer.LoadVocabularyAndMerges(vocabulary, directory.PathOf("none.txt")));
    }

    // A path of names and of indices in brackets.
    private static void Set(JsonNode json, string path, string value)
    {
        string[] parts = path.Replace("[", ".[").Split('.');
        foreach (string part in parts[..^1])
        {
            json = part[0] == '[' ? json[int.Parse(part[1..^1])]! : json[part]!;
        }
        json[parts[^1]] = JsonNode.Parse(value);
    }
}
