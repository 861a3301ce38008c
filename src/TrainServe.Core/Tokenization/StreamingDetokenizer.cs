using System.Text;

namespace TrainServe.Core.Tokenization;

/// <summary>Turns tokens into text as they come, in whole characters: bytes of an unfinished UTF-8 character wait for the rest of it.</summary>
/// <remarks>All that <see cref="Push"/> and <see cref="Flush"/> return, joined, equals <see cref="TextTokenizer.Decode(ReadOnlySpan{int}, bool, bool)"/> of the same ids. Not safe for use from several threads.</remarks>
public sealed class StreamingDetokenizer
{
    private readonly TextTokenizer _tokenizer;
    private readonly bool _skipSpecial;
    private readonly Decoder _decoder = Encoding.UTF8.GetDecoder();
    private bool _atStart;

    /// <param name="tokenizer">Whose tokens they are.</param>
    /// <param name="skipSpecial">Whether control tokens have no text, or are written out.</param>
    /// <param name="atStart">Whether a text begins here. A SentencePiece tokenizer writes a space before the first word and takes it away again; an answer that goes on from a prompt keeps it.</param>
    public StreamingDetokenizer(TextTokenizer tokenizer, bool skipSpecial = true, bool atStart = true)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        (_tokenizer, _skipSpecial, _atStart) = (tokenizer, skipSpecial, atStart);
    }

    /// <summary>The text that this token completes; often empty, never part of a character.</summary>
    public string Push(int id) => Text(_tokenizer.BytesOf(id, _skipSpecial, ref _atStart), flush: false);

    /// <summary>Ends the text: U+FFFD when it stops inside a character, else nothing.</summary>
    public string Flush() => Text([], flush: true);

    private string Text(ReadOnlySpan<byte> bytes, bool flush)
    {
        int count = _decoder.GetCharCount(bytes, flush);
        if (count == 0)
        {
            // Also moves the bytes of an unfinished character into the decoder.
            _decoder.GetChars(bytes, [], flush);
            return "";
        }
        Span<char> chars = count <= 256 ? stackalloc char[256] : new char[count];
        return new string(chars[.._decoder.GetChars(bytes, chars, flush)]);
    }
}
