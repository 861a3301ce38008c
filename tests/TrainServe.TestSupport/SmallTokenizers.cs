using System.Text;
using System.Text.Json.Nodes;
using TrainServe.Core.Chat;
using TrainServe.Core.Tokenization;

namespace TrainServe.TestSupport;

/// <summary>Tokenizers that are made on the spot: 256 bytes, the merges of a few words, and control tokens last.</summary>
public static class SmallTokenizers
{
    public static IReadOnlyList<string> Words { get; } =
        ["the", " the", " cat", " sat", " on", " mat", " and", "ing", "'s", "Once", " upon", " a", " time", "  ", "\n\n", "é", " café", "ß", "語", "123", "<|", "|>", "end", "user", "text", "\u05D0\u05D1", "😀", "he"];

    /// <summary>The ordinary one: Qwen's splitting, no normalizer, the chat format's control tokens.</summary>
    public static TextTokenizer Ours { get; } = Load(Json());

    /// <summary>SentencePiece-type: unk, bos, eos, 256 bytes, then characters and merges.</summary>
    public static TextTokenizer SentencePiece { get; } = Load(SentencePieceJson());

    public static TextTokenizer Load(JsonNode tokenizer, JsonNode? config = null)
    {
        using var directory = new TemporaryDirectory();
        directory.WriteText("tokenizer.json", tokenizer.ToJsonString());
        if (config is not null)
        {
            directory.WriteText("tokenizer_config.json", config.ToJsonString());
        }
        return TextTokenizer.Load(directory.FullName);
    }

    /// <summary>Writes the ordinary one's tokenizer.json and tokenizer_config.json, with the chat template of the name (trainserve, plain).</summary>
    public static void Write(string directory, string template = "trainserve")
    {
        Directory.CreateDirectory(directory);
        File.WriteAllText(Path.Combine(directory, "tokenizer.json"), Json().ToJsonString());
        new TokenizerConfig
        {
            BosToken = SpecialTokens.EndOfText,
            EosToken = SpecialTokens.EndOfText,
            PadToken = SpecialTokens.Pad,
            ChatTemplate = (template == "plain" ? ChatTemplate.Plain(Ours) : ChatTemplate.TrainServe(Ours)).Jinja,
        }.Write(directory, Ours.Special);
    }

    public static JsonObject Json(string pattern = PatternSplitter.SingleDigitPattern, IEnumerable<string>? words = null, bool pairs = true)
    {
        var vocabulary = Enumerable.Range(0, 256).Select(value => ByteLevelAlphabet.ToChar((byte)value).ToString()).ToList();
        var merges = Merges((words ?? Words).Select(word => ByteLevelAlphabet.ToText(Encoding.UTF8.GetBytes(word)).Select(unit => unit.ToString())), vocabulary);
        return new JsonObject
        {
            ["version"] = "1.0",
            ["added_tokens"] = Added(SpecialTokens.Ours, vocabulary.Count),
            ["normalizer"] = null,
            ["pre_tokenizer"] = new JsonObject
            {
                ["type"] = "Sequence",
                ["pretokenizers"] = new JsonArray(
                    new JsonObject { ["type"] = "Split", ["pattern"] = new JsonObject { ["Regex"] = pattern }, ["behavior"] = "Isolated", ["invert"] = false },
                    new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = false, ["use_regex"] = false }),
            },
            ["decoder"] = new JsonObject { ["type"] = "ByteLevel" },
            ["model"] = Model(vocabulary, merges, pairs, byteFallback: false),
        };
    }

    public static JsonObject SentencePieceJson()
    {
        var vocabulary = new List<string> { "<unk>", "<s>", "</s>" };
        vocabulary.AddRange(Enumerable.Range(0, 256).Select(value => $"<0x{value:X2}>"));
        vocabulary.AddRange("▁,.<>|/".Select(unit => unit.ToString()));
        vocabulary.AddRange("abcdefghijklmnopqrstuvwxyzOé".Select(unit => unit.ToString()));
        var merges = Merges(Words.Where(word => word.All(unit => char.IsAsciiLetter(unit) || unit is ' ' or 'é')).Append("<s").Select(word => word.Replace(' ', '▁').Select(unit => unit.ToString())), vocabulary);
        // As in Llama's own file: every way to make a token is listed, in the order of the tokens.
        merges = [.. from token in merges.Select(merge => merge.Left + merge.Right)
                     from split in Enumerable.Range(1, token.Length - 1)
                     where vocabulary.Contains(token[..split]) && vocabulary.Contains(token[split..])
                     select (token[..split], token[split..])];
        return new JsonObject
        {
            ["version"] = "1.0",
            ["added_tokens"] = Added(["<unk>", "<s>", "</s>"], 0),
            ["normalizer"] = new JsonObject
            {
                ["type"] = "Sequence",
                ["normalizers"] = new JsonArray(
                    new JsonObject { ["type"] = "Prepend", ["prepend"] = "▁" },
                    new JsonObject { ["type"] = "Replace", ["pattern"] = new JsonObject { ["String"] = " " }, ["content"] = "▁" }),
            },
            ["pre_tokenizer"] = null,
            ["decoder"] = new JsonObject
            {
                ["type"] = "Sequence",
                ["decoders"] = new JsonArray(
                    new JsonObject { ["type"] = "Replace", ["pattern"] = new JsonObject { ["String"] = "▁" }, ["content"] = " " },
                    new JsonObject { ["type"] = "ByteFallback" },
                    new JsonObject { ["type"] = "Fuse" },
                    new JsonObject { ["type"] = "Strip", ["content"] = " ", ["start"] = 1, ["stop"] = 0 }),
            },
            ["model"] = Model(vocabulary, merges, pairs: false, byteFallback: true),
        };
    }

    public static JsonArray Added(IEnumerable<string> contents, int firstId, bool special = true) => new([.. contents.Select((content, i) => (JsonNode)new JsonObject
    {
        ["id"] = firstId + i,
        ["content"] = content,
        ["single_word"] = false,
        ["lstrip"] = false,
        ["rstrip"] = false,
        ["normalized"] = false,
        ["special"] = special,
    })]);

    // Each word, left to right, gets the merges that it still lacks.
    private static List<(string Left, string Right)> Merges(IEnumerable<IEnumerable<string>> words, List<string> vocabulary)
    {
        var merges = new List<(string Left, string Right)>();
        foreach (var word in words)
        {
            var pieces = word.ToList();
            foreach (var (left, right) in merges)
            {
                for (int i = 0; i + 1 < pieces.Count; i++)
                {
                    if (pieces[i] == left && pieces[i + 1] == right)
                    {
                        pieces[i] += right;
                        pieces.RemoveAt(i + 1);
                    }
                }
            }
            for (; pieces.Count > 1; pieces.RemoveAt(1))
            {
                merges.Add((pieces[0], pieces[1]));
                pieces[0] += pieces[1];
                if (!vocabulary.Contains(pieces[0]))
                {
                    vocabulary.Add(pieces[0]);
                }
            }
        }
        return merges;
    }

    private static JsonObject Model(List<string> vocabulary, List<(string Left, string Right)> merges, bool pairs, bool byteFallback)
    {
        var vocab = new JsonObject();
        for (int id = 0; id < vocabulary.Count; id++)
        {
            vocab[vocabulary[id]] = id;
        }
        return new JsonObject
        {
            ["type"] = "BPE",
            ["dropout"] = null,
            ["unk_token"] = byteFallback ? "<unk>" : null,
            ["continuing_subword_prefix"] = null,
            ["end_of_word_suffix"] = null,
            ["fuse_unk"] = byteFallback,
            ["byte_fallback"] = byteFallback,
            ["vocab"] = vocab,
            ["merges"] = new JsonArray([.. merges.Select(merge => pairs ? new JsonArray(merge.Left, merge.Right) : (JsonNode)$"{merge.Left} {merge.Right}")]),
        };
    }
}
