using System.Text.Json.Nodes;
using TrainServe.Core.Chat;
using TrainServe.Core.Tokenization;

namespace TrainServe.Training.Tests;

/// <summary>A tokenizer whose tokens are the bytes, with the chat format's control tokens from 256 on: ids that a person can read.</summary>
internal static class ByteTokenizer
{
    public const int EndOfText = 256;

    /// <summary>Writes its files and loads them.</summary>
    /// <param name="directory">Made if missing.</param>
    /// <param name="special">Control tokens.</param>
    public static TextTokenizer Write(string directory, IReadOnlyList<string>? special = null)
    {
        special ??= SpecialTokens.Ours;
        Directory.CreateDirectory(directory);
        var vocabulary = new JsonObject();
        for (int value = 0; value < 256; value++)
        {
            vocabulary[ByteLevelAlphabet.ToChar((byte)value).ToString()] = value;
        }
        var byteLevel = new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = false, ["use_regex"] = false };
        var root = new JsonObject
        {
            ["version"] = "1.0",
            ["added_tokens"] = new JsonArray([.. special.Select((content, index) => (JsonNode)new JsonObject
            {
                ["id"] = 256 + index,
                ["content"] = content,
                ["single_word"] = false,
                ["lstrip"] = false,
                ["rstrip"] = false,
                ["normalized"] = false,
                ["special"] = true,
            })]),
            ["normalizer"] = null,
            ["pre_tokenizer"] = new JsonObject
            {
                ["type"] = "Sequence",
                ["pretokenizers"] = new JsonArray(
                    new JsonObject { ["type"] = "Split", ["pattern"] = new JsonObject { ["Regex"] = PatternSplitter.SingleDigitPattern }, ["behavior"] = "Isolated", ["invert"] = false },
                    byteLevel.DeepClone()),
            },
            ["decoder"] = new JsonObject { ["type"] = "ByteLevel" },
            ["model"] = new JsonObject { ["type"] = "BPE", ["vocab"] = vocabulary, ["merges"] = new JsonArray() },
        };
        File.WriteAllText(Path.Combine(directory, "tokenizer.json"), root.ToJsonString());
        var tokenizer = TextTokenizer.Load(directory);
        var config = new TokenizerConfig { BosToken = SpecialTokens.EndOfText, EosToken = SpecialTokens.EndOfText, PadToken = SpecialTokens.Pad };
        if (special.Contains(SpecialTokens.Assistant))
        {
            config = config with { ChatTemplate = ChatTemplate.TrainServe(tokenizer).Jinja };
        }
        config.Write(directory, tokenizer.Special);
        return TextTokenizer.Load(directory);
    }
}
