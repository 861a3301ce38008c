using System.Text;

namespace TrainServe.Core.Tokenization;

/// <summary>What happens to text before it is split.</summary>
internal static class TextNormalization
{
    /// <summary>Puts U+FFFD in place of each surrogate without its other half, as .NET's UTF-8 encoding does; the same text when there is none.</summary>
    public static string? ReplaceLoneSurrogates(ReadOnlySpan<char> text)
    {
        int first = NextLoneSurrogate(text, 0);
        if (first < 0)
        {
            return null;
        }
        char[] repaired = text.ToArray();
        for (int position = first; position >= 0; position = NextLoneSurrogate(repaired, position + 1))
        {
            repaired[position] = '\uFFFD';
        }
        return new string(repaired);
    }

    /// <summary>Unicode's normal form of a text without lone surrogates.</summary>
    public static string Normalize(string text, NormalizationForm form)
    {
        // .NET refuses the noncharacter U+FFFE. It neither decomposes nor composes, so that the parts beside it are independent.
        return text.Contains('\uFFFE') ? string.Join('\uFFFE', text.Split('\uFFFE').Select(part => part.Normalize(form))) : text.Normalize(form);
    }

    private static int NextLoneSurrogate(ReadOnlySpan<char> text, int start)
    {
        while (start < text.Length && text[start..].IndexOfAnyInRange('\uD800', '\uDFFF') is var offset and >= 0)
        {
            int position = start + offset;
            bool isPair = char.IsHighSurrogate(text[position]) && position + 1 < text.Length && char.IsLowSurrogate(text[position + 1]);
            if (!isPair)
            {
                return position;
            }
            start = position + 2;
        }
        return -1;
    }
}
