using System.Globalization;
using Microsoft.ML.Tokenizers;

namespace TrainServe.Core.Tokenization;

/// <summary>Text to ids for a SentencePiece-type vocabulary, by Microsoft.ML.Tokenizers on a model file that is made in memory.</summary>
/// <remarks>Llama's merges are "the adjacent pair whose union is the best token", so a piece's score is minus the rank of the first merge that makes it.</remarks>
internal sealed class SentencePieceEncoder
{
    private readonly SentencePieceTokenizer _withPrefix, _withoutPrefix;

    public SentencePieceEncoder(TokenizerDefinition definition)
    {
        var pieces = Pieces(definition);
        _withoutPrefix = Create(pieces, addDummyPrefix: false);
        _withPrefix = definition.AddDummyPrefix ? Create(pieces, addDummyPrefix: true) : _withoutPrefix;
    }

    public void Encode(ReadOnlySpan<char> text, bool atStart, List<int> ids)
    {
        if (text.Length > 0)
        {
            var tokenizer = atStart ? _withPrefix : _withoutPrefix;
            ids.AddRange(tokenizer.EncodeToIds(text, addBeginningOfSentence: false, addEndOfSentence: false, considerPreTokenization: false, considerNormalization: true));
        }
    }

    /// <summary>The byte of a token written <c>&lt;0x0A&gt;</c>; null for any other token.</summary>
    public static byte? ByteOf(string token) =>
        token.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal) && token[5] == '>'
        && byte.TryParse(token.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte value) ? value : null;

    private static SentencePieceTokenizer Create(IReadOnlyList<SentencePieceModelProto.Piece> pieces, bool addDummyPrefix)
    {
        using var model = new MemoryStream(SentencePieceModelProto.Write(pieces, addDummyPrefix));
        return SentencePieceTokenizer.Create(model, addBeginningOfSentence: false, addEndOfSentence: false, specialTokens: null);
    }

    private static SentencePieceModelProto.Piece[] Pieces(TokenizerDefinition definition)
    {
        var vocabulary = definition.Vocabulary;
        var added = definition.AddedTokens.Select(token => token.Content).ToHashSet(StringComparer.Ordinal);
        var ranks = RankOfPieces(definition);
        RequireBytes(definition);
        RequireAllMerges(definition, ranks);

        var pieces = new SentencePieceModelProto.Piece[vocabulary.Values.Max() + 1];
        for (int id = 0; id < pieces.Length; id++)
        {
            pieces[id] = Unreachable(id);
        }
        foreach (var (token, id) in vocabulary)
        {
            if (ByteOf(token) is { } value)
            {
                // The library finds the bytes by the name of the first; the others need no name that a text could spell.
                pieces[id] = new SentencePieceModelProto.Piece(value == 0 ? token : Unreachable(id).Text, 0, SentencePieceModelProto.PieceType.Byte);
            }
            else if (!added.Contains(token) && (ranks.ContainsKey(token) || IsOneCharacter(token)))
            {
                pieces[id] = new SentencePieceModelProto.Piece(token, -(float)ranks.GetValueOrDefault(token, definition.Merges.Count), SentencePieceModelProto.PieceType.Normal);
            }
        }
        return pieces;
    }

    // Control tokens, and tokens that no merge makes. Three characters of which no two are a piece cannot come together.
    private static SentencePieceModelProto.Piece Unreachable(int id) =>
        new($"\uE000\uE001{id.ToString(CultureInfo.InvariantCulture)}", 0, SentencePieceModelProto.PieceType.Control);

    private static bool IsOneCharacter(string token) => token.Length == 1 || (token.Length == 2 && char.IsHighSurrogate(token[0]));

    private static Dictionary<string, int> RankOfPieces(TokenizerDefinition definition)
    {
        var ranks = new Dictionary<string, int>(StringComparer.Ordinal);
        for (int rank = 0; rank < definition.Merges.Count; rank++)
        {
            var (left, right) = definition.Merges[rank];
            foreach (string token in (ReadOnlySpan<string>)[left, right, left + right])
            {
                if (!definition.Vocabulary.ContainsKey(token))
                {
                    throw new InvalidDataException($"{definition.Source}: model.merges has the pair '{left} {right}', but '{token}' is not in model.vocab.");
                }
            }
            ranks.TryAdd(left + right, rank);
        }
        return ranks;
    }

    private static void RequireBytes(TokenizerDefinition definition)
    {
        int first = definition.Vocabulary.GetValueOrDefault("<0x00>", -1);
        for (int value = 0; value < 256; value++)
        {
            string name = $"<0x{value:X2}>";
            if (first < 0 || !definition.Vocabulary.TryGetValue(name, out int id) || id != first + value)
            {
                throw new InvalidDataException($"{definition.Source}: model.vocab must hold {name} right after the byte before it, because model.byte_fallback is set.");
            }
        }
    }

    // The library merges any two neighbours whose union is a token. That is Hugging Face's rule only where every such pair is listed.
    private static void RequireAllMerges(TokenizerDefinition definition, Dictionary<string, int> ranks)
    {
        var listed = definition.Merges.ToHashSet();
        foreach (string token in ranks.Keys.Append("<0x00>"))
        {
            for (int split = 1; split < token.Length; split++)
            {
                string left = token[..split], right = token[split..];
                if (IsPiece(left) && IsPiece(right) && !listed.Contains((left, right)))
                {
                    throw new InvalidDataException($"{definition.Source}: model.merges lacks the pair '{left} {right}', although '{token}' is a token; a tokenizer with byte_fallback must list every pair.");
                }
            }
        }

        bool IsPiece(string token) => definition.Vocabulary.ContainsKey(token) && (ranks.ContainsKey(token) || IsOneCharacter(token));
    }
}
