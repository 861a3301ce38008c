using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace TrainServe.Core.Tokenization;

/// <summary>What a code point is to the splitting patterns: <c>\p{L}</c>, <c>\p{N}</c>, <c>\s</c> or none of them.</summary>
internal enum CharacterClass : byte
{
    Other,
    Letter,
    Number,

    /// <summary>White space but not a line break.</summary>
    Space,

    /// <summary><c>\r</c> or <c>\n</c>.</summary>
    LineBreak,
}

internal static class CharacterClasses
{
    // One byte for each UTF-16 unit; a surrogate stands for "look at the pair".
    private const byte Surrogate = 0xFF;
    private static readonly byte[] OfUnit = MakeTable();

    /// <summary>The class of the code point at a position, and how many UTF-16 units it has. A lone surrogate is <see cref="CharacterClass.Other"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static CharacterClass At(ReadOnlySpan<char> text, int position, out int length)
    {
        byte found = OfUnit[text[position]];
        if (found != Surrogate)
        {
            length = 1;
            return (CharacterClass)found;
        }
        return OfPair(text, position, out length);
    }

    private static CharacterClass OfPair(ReadOnlySpan<char> text, int position, out int length)
    {
        Rune.DecodeFromUtf16(text[position..], out var rune, out length);
        return Classify(Rune.GetUnicodeCategory(rune));
    }

    private static CharacterClass Classify(UnicodeCategory category) => category switch
    {
        <= UnicodeCategory.OtherLetter => CharacterClass.Letter,
        >= UnicodeCategory.DecimalDigitNumber and <= UnicodeCategory.OtherNumber => CharacterClass.Number,
        _ => CharacterClass.Other,
    };

    private static byte[] MakeTable()
    {
        var table = new byte[char.MaxValue + 1];
        for (int unit = 0; unit < table.Length; unit++)
        {
            char character = (char)unit;
            table[unit] = char.IsSurrogate(character) ? Surrogate
                : character is '\r' or '\n' ? (byte)CharacterClass.LineBreak
                : char.IsWhiteSpace(character) ? (byte)CharacterClass.Space
                : (byte)Classify(CharUnicodeInfo.GetUnicodeCategory(character));
        }
        return table;
    }
}
