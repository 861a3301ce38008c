namespace TrainServe.Core.Tokenization;

/// <summary>The control tokens of a tokenizer. They have ids but no text: no encoding of text ever yields one.</summary>
public sealed class SpecialTokens
{
    /// <summary>Separates documents, begins a text, and ends one.</summary>
    public const string EndOfText = "<|endoftext|>";

    /// <summary>Fills the short rows of a batch. Never the same token as <see cref="EndOfText"/>.</summary>
    public const string Pad = "<|pad|>";
    public const string System = "<|system|>", User = "<|user|>", Assistant = "<|assistant|>", Tool = "<|tool|>", ToolCall = "<|tool_call|>";

    /// <summary>Ends a turn.</summary>
    public const string End = "<|end|>";

    /// <summary>What every tokenizer that is trained here has, in the order of their ids, which are the last of the vocabulary.</summary>
    public static IReadOnlyList<string> Ours { get; } = [EndOfText, Pad, System, User, Assistant, Tool, ToolCall, End];

    private readonly Dictionary<string, int> _ids;
    private readonly Dictionary<int, string> _contents;
    private readonly int? _bos, _eos, _pad;

    /// <param name="tokens">Content and id of each.</param>
    /// <param name="bos">Content of the token that begins a text, when the tokenizer's files name one.</param>
    /// <param name="eos">The same of the token that ends one.</param>
    /// <param name="pad">The same of the token that fills rows.</param>
    internal SpecialTokens(IEnumerable<KeyValuePair<string, int>> tokens, string? bos, string? eos, string? pad)
    {
        _ids = new Dictionary<string, int>(tokens, StringComparer.Ordinal);
        _contents = _ids.ToDictionary(pair => pair.Value, pair => pair.Key);
        _eos = First(eos, EndOfText, "</s>", "<|end_of_text|>", "<|eot_id|>", "<|im_end|>");
        _bos = First(bos, EndOfText, "<s>", "<|begin_of_text|>") ?? _eos;
        _pad = First(pad, Pad, "<pad>", "<unk>");
        if (_pad == _eos)
        {
            _pad = First(Pad, "<pad>", "<unk>");
        }
    }

    public int Count => _ids.Count;

    /// <summary>Contents and ids.</summary>
    public IReadOnlyDictionary<string, int> Ids => _ids;

    /// <exception cref="InvalidDataException">The tokenizer has none.</exception>
    public int BosId => _bos ?? throw new InvalidDataException("The tokenizer has no token that begins a text (bos_token).");

    /// <exception cref="InvalidDataException">The tokenizer has none.</exception>
    public int EosId => _eos ?? throw new InvalidDataException("The tokenizer has no token that ends a text (eos_token).");

    /// <summary>Never <see cref="EosId"/>: a model that is trained to ignore its end token never stops.</summary>
    /// <exception cref="InvalidDataException">The tokenizer has none.</exception>
    public int PadId => _pad ?? throw new InvalidDataException("The tokenizer has no token that fills short rows (pad_token).");

    public bool HasBos => _bos is not null;
    public bool HasEos => _eos is not null;
    public bool HasPad => _pad is not null;

    public int? TryGetId(string content) => _ids.TryGetValue(content, out int id) ? id : null;
    public bool IsSpecial(int id) => _contents.ContainsKey(id);

    /// <summary>How a special token is written; null for an ordinary token.</summary>
    public string? TryGetContent(int id) => _contents.GetValueOrDefault(id);

    private int? First(params ReadOnlySpan<string?> contents)
    {
        foreach (string? content in contents)
        {
            if (content is not null && _ids.TryGetValue(content, out int id))
            {
                return id;
            }
        }
        return null;
    }
}
