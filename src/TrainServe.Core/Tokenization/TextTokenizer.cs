using System.Buffers;
using System.Text;

namespace TrainServe.Core.Tokenization;

/// <summary>Text to token ids and back, as Hugging Face's tokenizers do it from the same files. Safe for use from several threads.</summary>
/// <remarks>
/// Encoding never yields a control token, whatever the text holds: those have ids but no text. Any text without lone surrogates comes back byte for byte
/// (unless the tokenizer's own normalizer changes it); a lone surrogate becomes U+FFFD. A byte that a foreign vocabulary lacks is dropped, as Hugging Face does.
/// </remarks>
public sealed class TextTokenizer
{
    private readonly TokenizerDefinition _definition;
    private readonly ByteLevelEncoder? _byteLevel;
    private readonly SentencePieceEncoder? _sentencePiece;
    private readonly AddedTokenFinder? _beforeNormalization, _afterNormalization;

    // The bytes of token i are _bytes[_offsets[i].._offsets[i + 1]].
    private readonly byte[] _bytes;
    private readonly int[] _offsets;

    private TextTokenizer(TokenizerDefinition definition, TokenizerConfig config)
    {
        _definition = definition;
        Special = new SpecialTokens(
            definition.AddedTokens.Where(token => token.IsSpecial).Select(token => KeyValuePair.Create(token.Content, token.Id)),
            config.BosToken, config.EosToken, config.PadToken);
        if (definition.IsSentencePiece)
        {
            _sentencePiece = new SentencePieceEncoder(definition);
        }
        else
        {
            _byteLevel = new ByteLevelEncoder(definition);
        }
        _beforeNormalization = AddedTokenFinder.Create(definition.AddedTokens.Where(token => !token.IsSpecial && !token.IsNormalized));
        _afterNormalization = AddedTokenFinder.Create(definition.AddedTokens.Where(token => !token.IsSpecial && token.IsNormalized));
        (_bytes, _offsets) = MakeTokenBytes(definition);
    }

    /// <summary>One more than the largest id.</summary>
    public int VocabSize => _offsets.Length - 1;
    public SpecialTokens Special { get; }

    /// <summary>Of <c>tokenizer.json</c>, lower-case hexadecimal: the tokenizer's identity.</summary>
    public string Sha256 => _definition.Sha256;

    /// <summary>How text is cut into words before merging.</summary>
    public WordSplitter? Splitter => _definition.Splitter;

    /// <summary>Reads <c>tokenizer.json</c>, and from <c>tokenizer_config.json</c> beside it which tokens begin, end and fill a text.</summary>
    /// <exception cref="FileNotFoundException">There is no tokenizer.json.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or needs something that is not implemented; the message names file and field.</exception>
    public static TextTokenizer Load(string directory)
    {
        var definition = TokenizerJsonReader.Read(Path.Combine(directory, "tokenizer.json"));
        return new TextTokenizer(definition, TokenizerConfig.Read(directory));
    }

    /// <summary>Reads GPT-2's older pair of files.</summary>
    /// <exception cref="FileNotFoundException">One of them does not exist.</exception>
    /// <exception cref="InvalidDataException">One of them is damaged; the message names the place.</exception>
    public static TextTokenizer LoadVocabularyAndMerges(string vocabPath, string mergesPath) =>
        new(VocabularyFilesReader.Read(vocabPath, mergesPath), new TokenizerConfig());

    /// <summary>The ids of a text. Never a control token's, even where the text spells one.</summary>
    public int[] Encode(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return Encode(text.AsSpan());
    }

    /// <inheritdoc cref="Encode(string)"/>
    public int[] Encode(ReadOnlySpan<char> text)
    {
        var ids = new List<int>(text.Length / 3 + 4);
        Encode(text, ids);
        return [.. ids];
    }

    /// <summary>Appends the ids of a text.</summary>
    /// <param name="text">Plain text.</param>
    /// <param name="ids">What to append to.</param>
    /// <param name="atStart">Whether a text begins here: false leaves out the space that a SentencePiece tokenizer writes before the first word.</param>
    public void Encode(ReadOnlySpan<char> text, List<int> ids, bool atStart = true)
    {
        ArgumentNullException.ThrowIfNull(ids);
        string? repaired = TextNormalization.ReplaceLoneSurrogates(text);
        EncodeParts(repaired is null ? text : repaired, ids, atStart);
    }

    /// <summary>The text of some ids; bytes that are not UTF-8 become U+FFFD. An id beyond the vocabulary, which a padded embedding can yield, has no text.</summary>
    /// <param name="ids">Token ids.</param>
    /// <param name="skipSpecial">Whether control tokens have no text, or are written out.</param>
    /// <param name="atStart">Whether a text begins here; see <see cref="StreamingDetokenizer"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">An id is negative.</exception>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecial = true, bool atStart = true)
    {
        var utf8 = new ArrayBufferWriter<byte>(ids.Length * 4 + 16);
        foreach (int id in ids)
        {
            utf8.Write(BytesOf(id, skipSpecial, ref atStart));
        }
        return Encoding.UTF8.GetString(utf8.WrittenSpan);
    }

    /// <summary>The bytes that a token stands for; none for a control token. They may be part of a character.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The id is not of this vocabulary.</exception>
    public ReadOnlySpan<byte> TokenBytes(int id)
    {
        if ((uint)id >= (uint)VocabSize)
        {
            throw new ArgumentOutOfRangeException(nameof(id), id, $"The vocabulary has {VocabSize} tokens.");
        }
        return _bytes.AsSpan(_offsets[id], _offsets[id + 1] - _offsets[id]);
    }

    /// <summary>What a token adds to a text: its bytes, less the space that SentencePiece wrote before the first word.</summary>
    internal ReadOnlySpan<byte> BytesOf(int id, bool skipSpecial, ref bool atStart)
    {
        // Embeddings are often padded to a round number of rows.
        var bytes = id >= VocabSize ? [] : TokenBytes(id);
        if (bytes.IsEmpty)
        {
            return skipSpecial || Special.TryGetContent(id) is not { } content ? [] : Encoding.UTF8.GetBytes(content);
        }
        if (atStart && _definition.StripLeadingSpace && bytes[0] == ' ')
        {
            bytes = bytes[1..];
        }
        atStart = false;
        return bytes;
    }

    private void EncodeParts(ReadOnlySpan<char> text, List<int> ids, bool atStart)
    {
        if (_beforeNormalization is null)
        {
            EncodeNormalized(text, ids, atStart);
            return;
        }
        while (_beforeNormalization.Find(text, out int index) is { } token)
        {
            EncodeNormalized(text[..index], ids, atStart);
            ids.Add(token.Id);
            text = text[(index + token.Content.Length)..];
        }
        EncodeNormalized(text, ids, atStart);
    }

    private void EncodeNormalized(ReadOnlySpan<char> text, List<int> ids, bool atStart)
    {
        if (_definition.Normalization is { } form && !Ascii.IsValid(text))
        {
            text = TextNormalization.Normalize(text.ToString(), form);
        }
        while (_afterNormalization?.Find(text, out int index) is { } token)
        {
            EncodeWords(text[..index], ids, atStart);
            ids.Add(token.Id);
            text = text[(index + token.Content.Length)..];
        }
        EncodeWords(text, ids, atStart);
    }

    private void EncodeWords(ReadOnlySpan<char> text, List<int> ids, bool atStart)
    {
        if (_sentencePiece is not null)
        {
            _sentencePiece.Encode(text, atStart, ids);
            return;
        }
        var ends = new List<int>();
        _definition.Splitter!.Split(text, ends);
        int start = 0;
        foreach (int end in ends)
        {
            _byteLevel!.Encode(text[start..end], ids);
            start = end;
        }
    }

    private static (byte[] Bytes, int[] Offsets) MakeTokenBytes(TokenizerDefinition definition)
    {
        int largest = Math.Max(definition.Vocabulary.Values.Max(), definition.AddedTokens.Select(token => token.Id).DefaultIfEmpty(-1).Max());
        var tokens = new byte[largest + 1][];
        foreach (var (token, id) in definition.Vocabulary)
        {
            tokens[id] = definition.IsSentencePiece ? SentencePieceBytes(token) : ByteLevelAlphabet.TryToBytes(token) ?? Encoding.UTF8.GetBytes(token);
        }
        foreach (var token in definition.AddedTokens)
        {
            tokens[token.Id] = token.IsSpecial ? [] : Encoding.UTF8.GetBytes(token.Content);
        }
        var offsets = new int[tokens.Length + 1];
        for (int id = 0; id < tokens.Length; id++)
        {
            offsets[id + 1] = offsets[id] + (tokens[id]?.Length ?? 0);
        }
        return ([.. tokens.SelectMany(token => token ?? [])], offsets);
    }

    private static byte[] SentencePieceBytes(string token) =>
        SentencePieceEncoder.ByteOf(token) is { } value ? [value] : Encoding.UTF8.GetBytes(token.Replace('▁', ' '));
}
