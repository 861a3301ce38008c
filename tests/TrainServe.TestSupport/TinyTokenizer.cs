using System.Text.Json.Nodes;
using TrainServe.Core.Chat;
using TrainServe.Core.Tokenization;

namespace TrainServe.TestSupport;

/// <summary>A byte-level tokenizer of 256 bytes, a few merges and the control tokens, so that a person can count the tokens of a text.</summary>
public static class TinyTokenizer
{
    private static readonly (string Left, string Right)[] Merges = [("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o"), ("Ġ", "w")];

    /// <summary>Ids 0 to 255 are bytes; then <c>he ll hell hello</c> and <c> w</c>; then <see cref="SpecialTokens.Ours"/>.</summary>
    public static int VocabSize => 256 + Merges.Length + SpecialTokens.Ours.Count;

    /// <summary>Writes tokenizer.json and tokenizer_config.json with the chat template, and reads them back.</summary>
    public static TextTokenizer Write(string directory)
    {
        Directory.CreateDirectory(directory);
        var vocabulary = new JsonObject();
        for (int value = 0; value < 256; value++)
        {
            vocabulary[Letter(value).ToString()] = value;
        }
        foreach (var (left, right) in Merges)
        {
            vocabulary[left + right] = vocabulary.Count;
        }
        int firstSpecial = vocabulary.Count;
        var root = new JsonObject
        {
            ["version"] = "1.0",
            ["added_tokens"] = new JsonArray([.. SpecialTokens.Ours.Select((content, i) => new JsonObject
            {
                ["id"] = firstSpecial + i,
                ["content"] = content,
                ["single_word"] = false,
                ["lstrip"] = false,
                ["rstrip"] = false,
                ["normalized"] = false,
                ["special"] = true,
            })]),
            ["normalizer"] = null,
            ["pre_tokenizer"] = new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = true, ["use_regex"] = true },
            ["decoder"] = new JsonObject { ["type"] = "ByteLevel" },
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["vocab"] = vocabulary,
                ["merges"] = new JsonArray([.. Merges.Select(merge => new JsonArray(merge.Left, merge.Right))]),
            },
        };
        File.WriteAllText(Path.Combine(directory, "tokenizer.json"), root.ToJsonString());
        var tokenizer = TextTokenizer.Load(directory);
        new TokenizerConfig
        {
            BosToken = SpecialTokens.EndOfText,
            EosToken = SpecialTokens.EndOfText,
            PadToken = SpecialTokens.Pad,
            ChatTemplate = ChatTemplate.TrainServe(tokenizer).Jinja,
        }.Write(directory, tokenizer.Special);
        return TextTokenizer.Load(directory);
    }

    // GPT-2's printable stand-in for a byte.
    private static char Letter(int value)
    {
        int others = 0;
        for (int other = 0; other < value; other++)
        {
            others += IsPrintable(other) ? 0 : 1;
        }
        return (char)(IsPrintable(value) ? value : 256 + others);
    }

    private static bool IsPrintable(int value) => value is >= '!' and <= '~' or >= 0xA1 and <= 0xAC or >= 0xAE and <= 0xFF;
}
