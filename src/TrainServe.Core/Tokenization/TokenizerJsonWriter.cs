using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using TrainServe.Core.IO;

namespace TrainServe.Core.Tokenization;

/// <summary>Writes a byte-level BPE as the <c>tokenizer.json</c> that Hugging Face's library reads (its version 1.0).</summary>
public static class TokenizerJsonWriter
{
    /// <param name="path">The file; written durably.</param>
    /// <param name="tokens">The bytes of each ordinary token, in the order of ids, no two the same.</param>
    /// <param name="merges">Pairs of ids in the order in which they apply.</param>
    /// <param name="special">Control tokens; their ids follow the ordinary ones.</param>
    public static void Write(string path, IReadOnlyList<byte[]> tokens, IReadOnlyList<(int Left, int Right)> merges, IReadOnlyList<string> special)
    {
        string[] names = [.. tokens.Select(token => ByteLevelAlphabet.ToText(token.AsSpan()))];
        using var content = new MemoryStream();
        using (var writer = new Utf8JsonWriter(content, new JsonWriterOptions { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            writer.WriteStartObject();
            writer.WriteString("version", "1.0");
            writer.WriteNull("truncation");
            writer.WriteNull("padding");
            writer.WriteStartArray("added_tokens");
            for (int i = 0; i < special.Count; i++)
            {
                WriteAddedToken(writer, tokens.Count + i, special[i]);
            }
            writer.WriteEndArray();
            writer.WriteNull("normalizer");
            writer.WritePropertyName("pre_tokenizer");
            PreTokenizer().WriteTo(writer);
            writer.WritePropertyName("post_processor");
            ByteLevel().WriteTo(writer);
            writer.WritePropertyName("decoder");
            ByteLevel().WriteTo(writer);
            WriteModel(writer, names, merges);
            writer.WriteEndObject();
        }
        content.WriteByte((byte)'\n');
        DurableFile.Write(path, content.GetBuffer().AsMemory(0, (int)content.Length));
    }

    private static void WriteAddedToken(Utf8JsonWriter writer, int id, string content)
    {
        writer.WriteStartObject();
        writer.WriteNumber("id", id);
        writer.WriteString("content", content);
        writer.WriteBoolean("single_word", false);
        writer.WriteBoolean("lstrip", false);
        writer.WriteBoolean("rstrip", false);
        writer.WriteBoolean("normalized", false);
        writer.WriteBoolean("special", true);
        writer.WriteEndObject();
    }

    private static JsonObject PreTokenizer() => new()
    {
        ["type"] = "Sequence",
        ["pretokenizers"] = new JsonArray(
            new JsonObject
            {
                ["type"] = "Split",
                ["pattern"] = new JsonObject { ["Regex"] = PatternSplitter.SingleDigitPattern },
                ["behavior"] = "Isolated",
                ["invert"] = false,
            },
            ByteLevel()),
    };

    private static JsonObject ByteLevel() => new() { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = false, ["use_regex"] = false };

    private static void WriteModel(Utf8JsonWriter writer, string[] names, IReadOnlyList<(int Left, int Right)> merges)
    {
        writer.WriteStartObject("model");
        writer.WriteString("type", "BPE");
        writer.WriteNull("dropout");
        writer.WriteNull("unk_token");
        writer.WriteString("continuing_subword_prefix", "");
        writer.WriteString("end_of_word_suffix", "");
        writer.WriteBoolean("fuse_unk", false);
        writer.WriteBoolean("byte_fallback", false);
        writer.WriteBoolean("ignore_merges", false);
        writer.WriteStartObject("vocab");
        for (int id = 0; id < names.Length; id++)
        {
            writer.WriteNumber(names[id], id);
        }
        writer.WriteEndObject();
        writer.WriteStartArray("merges");
        foreach (var (left, right) in merges)
        {
            // The older spelling of a pair, which every version of every reader knows.
            writer.WriteStringValue($"{names[left]} {names[right]}");
        }
        writer.WriteEndArray();
        writer.WriteEndObject();
    }
}
