using System.Text;

namespace TrainServe.Core.Tokenization;

/// <summary>GPT-2's way of writing bytes as visible characters, so that a token is a string: byte 0x20 is <c>Ġ</c>, byte 0x41 is <c>A</c>.</summary>
public static class ByteLevelAlphabet
{
    private static readonly char[] CharOfByte = MakeChars();
    private static readonly Dictionary<char, byte> ByteOfChar = CharOfByte.Select((character, value) => (character, value)).ToDictionary(pair => pair.character, pair => (byte)pair.value);

    public static char ToChar(byte value) => CharOfByte[value];

    public static string ToText(ReadOnlySpan<byte> bytes) => string.Create(bytes.Length, bytes, static (text, source) =>
    {
        for (int i = 0; i < text.Length; i++)
        {
            text[i] = CharOfByte[source[i]];
        }
    });

    /// <summary>The bytes behind a token's text; null when a character is not of this alphabet.</summary>
    public static byte[]? TryToBytes(string text)
    {
        var bytes = new byte[text.Length];
        for (int i = 0; i < text.Length; i++)
        {
            if (!ByteOfChar.TryGetValue(text[i], out bytes[i]))
            {
                return null;
            }
        }
        return bytes;
    }

    /// <summary>A word's UTF-8 bytes in this alphabet.</summary>
    public static string ToText(ReadOnlySpan<char> word)
    {
        Span<byte> utf8 = word.Length <= 256 ? stackalloc byte[768] : new byte[Encoding.UTF8.GetMaxByteCount(word.Length)];
        return ToText(utf8[..Encoding.UTF8.GetBytes(word, utf8)]);
    }

    // Visible Latin-1 characters stand for themselves; the other bytes, in order, are written from U+0100 on.
    private static char[] MakeChars()
    {
        var chars = new char[256];
        int next = 256;
        for (int value = 0; value < 256; value++)
        {
            bool visible = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);
            chars[value] = visible ? (char)value : (char)next++;
        }
        return chars;
    }
}
