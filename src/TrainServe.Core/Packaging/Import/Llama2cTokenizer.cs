using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;
using TrainServe.Core.IO;

namespace TrainServe.Core.Packaging.Import;

/// <summary>A vocabulary in llama2.c's format (<c>tokenizer.bin</c>, <c>tok512.bin</c>), rewritten as the tokenizer.json that Hugging Face has for Llama 2.</summary>
/// <remarks>
/// The file: the longest piece's length, then for each token a score (float32), a length (int32) and that many bytes. Pieces hold a space where SentencePiece has U+2581;
/// ids 0 to 2 are unknown, beginning and end of text, 3 to 258 single bytes. The merges are those that Hugging Face's own converter derives from the scores.
/// </remarks>
public sealed class Llama2cTokenizer
{
    public const int UnknownId = 0, BosId = 1, EosId = 2;
    private const int FirstPieceId = 259;
    private readonly IReadOnlyList<(string Piece, float Score)> _tokens;

    private Llama2cTokenizer(IReadOnlyList<(string Piece, float Score)> tokens) => _tokens = tokens;

    public int Count => _tokens.Count;

    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is cut short, has bytes to spare, or holds no such vocabulary.</exception>
    public static Llama2cTokenizer Read(string path, int vocabSize)
    {
        if (!File.Exists(path))
        {
            throw new FileNotFoundException($"{path} does not exist.", path);
        }
        var bytes = File.ReadAllBytes(path).AsSpan();
        int at = 4;
        var tokens = new List<(string, float)>();
        while (at + 8 <= bytes.Length && tokens.Count < vocabSize)
        {
            float score = BinaryPrimitives.ReadSingleLittleEndian(bytes[at..]);
            int length = BinaryPrimitives.ReadInt32LittleEndian(bytes[(at + 4)..]);
            at += 8;
            if (length < 0 || length > bytes.Length - at)
            {
                throw new InvalidDataException($"{path}: token {tokens.Count} says that it is {length} bytes long; {bytes.Length - at} are left.");
            }
            tokens.Add((Encoding.UTF8.GetString(bytes.Slice(at, length)).Replace(' ', '\u2581'), score));
            at += length;
        }
        if (tokens.Count != vocabSize || at != bytes.Length)
        {
            throw new InvalidDataException($"{path} does not hold exactly the {vocabSize} tokens of the model: {tokens.Count} were read, {bytes.Length - at} bytes are left.");
        }
        if (vocabSize <= FirstPieceId || tokens[3].Item1 != "<0x00>" || tokens[FirstPieceId - 1].Item1 != "<0xFF>")
        {
            throw new InvalidDataException($"{path}: tokens 3 to 258 are not the single bytes, as they are in llama2.c's vocabularies.");
        }
        tokens[UnknownId] = ("<unk>", 0);
        tokens[BosId] = ("<s>", 0);
        tokens[EosId] = ("</s>", 0);
        return new Llama2cTokenizer(tokens);
    }

    /// <summary>Writes tokenizer.json.</summary>
    public void Write(string path)
    {
        var vocabulary = new JsonObject();
        foreach (var ((piece, _), id) in _tokens.Select((token, id) => (token, id)))
        {
            vocabulary.Add(piece, id);
        }
        var root = new JsonObject
        {
            ["version"] = "1.0",
            ["truncation"] = null,
            ["padding"] = null,
            ["added_tokens"] = new JsonArray([.. Enumerable.Range(0, 3).Select(Added)]),
            ["normalizer"] = Sequence("normalizers", new JsonObject { ["type"] = "Prepend", ["prepend"] = "\u2581" }, Replace(" ", "\u2581")),
            ["pre_tokenizer"] = null,
            ["post_processor"] = BosFirst(),
            ["decoder"] = Sequence("decoders", Replace("\u2581", " "), new JsonObject { ["type"] = "ByteFallback" }, new JsonObject { ["type"] = "Fuse" },
                new JsonObject { ["type"] = "Strip", ["content"] = " ", ["start"] = 1, ["stop"] = 0 }),
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["dropout"] = null,
                ["unk_token"] = "<unk>",
                ["continuing_subword_prefix"] = null,
                ["end_of_word_suffix"] = null,
                ["fuse_unk"] = true,
                ["byte_fallback"] = true,
                ["ignore_merges"] = false,
                ["vocab"] = vocabulary,
                ["merges"] = new JsonArray([.. Merges().Select(merge => (JsonNode)$"{merge.Left} {merge.Right}")]),
            },
        };
        JsonFile.Write(path, root, JsonFile.SnakeCase);
    }

    /// <summary>Every way to make a piece out of two others, best score first, as Hugging Face's converter lists them.</summary>
    internal IEnumerable<(string Left, string Right)> Merges()
    {
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        for (int id = FirstPieceId; id < _tokens.Count; id++)
        {
            ids[_tokens[id].Piece] = id;
        }
        foreach (int id in Enumerable.Range(FirstPieceId, _tokens.Count - FirstPieceId).OrderByDescending(id => _tokens[id].Score))
        {
            string piece = _tokens[id].Piece;
            var splits = new List<(int Left, int Right)>();
            for (int cut = 1; cut < piece.Length; cut++)
            {
                if (!char.IsLowSurrogate(piece[cut]) && ids.TryGetValue(piece[..cut], out int left) && ids.TryGetValue(piece[cut..], out int right))
                {
                    splits.Add((left, right));
                }
            }
            foreach (var (left, right) in splits.Order())
            {
                yield return (_tokens[left].Piece, _tokens[right].Piece);
            }
        }
    }

    private JsonNode Added(int id) => new JsonObject
    {
        ["id"] = id,
        ["content"] = _tokens[id].Piece,
        ["single_word"] = false,
        ["lstrip"] = false,
        ["rstrip"] = false,
        ["normalized"] = false,
        ["special"] = true,
    };

    private static JsonObject Sequence(string key, params JsonNode[] parts) => new() { ["type"] = "Sequence", [key] = new JsonArray(parts) };

    private static JsonObject Replace(string pattern, string content) =>
        new() { ["type"] = "Replace", ["pattern"] = new JsonObject { ["String"] = pattern }, ["content"] = content };

    private static JsonObject BosFirst()
    {
        JsonObject Special() => new() { ["SpecialToken"] = new JsonObject { ["id"] = "<s>", ["type_id"] = 0 } };
        JsonObject Text(string id, int type) => new() { ["Sequence"] = new JsonObject { ["id"] = id, ["type_id"] = type } };
        return new JsonObject
        {
            ["type"] = "TemplateProcessing",
            ["single"] = new JsonArray(Special(), Text("A", 0)),
            ["pair"] = new JsonArray(Special(), Text("A", 0), Text("B", 1)),
            ["special_tokens"] = new JsonObject
            {
                ["<s>"] = new JsonObject { ["id"] = "<s>", ["ids"] = new JsonArray(BosId), ["tokens"] = new JsonArray("<s>") },
            },
        };
    }
}
