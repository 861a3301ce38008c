using System.Globalization;

namespace TrainServe.Core.Scoring;

/// <summary>Finds numbers in what people and models write.</summary>
public static class NumberText
{
    /// <summary>Stands before the result in answers of the GSM8K format.</summary>
    public const string ResultMark = "####";

    /// <summary>The last number of a text, or the first one behind #### if that is there; null when there is none.</summary>
    /// <remarks>
    /// A sign counts where no digit or letter stands before it, so that 5-3 holds 5 and 3, and "= -3" holds -3; − is a sign too. Commas between groups of three digits are left out; any other
    /// comma ends a number, and so does a point without a digit behind it. Money and percent signs are passed over.
    /// </remarks>
    public static decimal? Last(string text)
    {
        int mark = text.LastIndexOf(ResultMark, StringComparison.Ordinal);
        decimal? found = null;
        for (int start = mark < 0 ? 0 : mark + ResultMark.Length; start < text.Length;)
        {
            if (!char.IsAsciiDigit(text[start]))
            {
                start++;
                continue;
            }
            int end = End(text, start);
            string digits = text[start..end].Replace(",", "", StringComparison.Ordinal);
            if (decimal.TryParse(digits, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal value))
            {
                found = IsNegative(text, start) ? -value : value;
                if (mark >= 0)
                {
                    return found;
                }
            }
            start = end;
        }
        return found;
    }

    private static int End(string text, int start)
    {
        int end = start;
        while (end < text.Length && char.IsAsciiDigit(text[end]))
        {
            end++;
        }
        // 1,234,567
        while (end - start <= 3 || text.AsSpan(start, end - start).Contains(','))
        {
            if (end + 3 < text.Length && text[end] == ',' && DigitsAt(text, end + 1) == 3)
            {
                end += 4;
                continue;
            }
            break;
        }
        if (end + 1 < text.Length && text[end] == '.' && char.IsAsciiDigit(text[end + 1]))
        {
            end += 1 + DigitsAt(text, end + 1);
        }
        return end;
    }

    private static int DigitsAt(string text, int start)
    {
        int end = start;
        while (end < text.Length && char.IsAsciiDigit(text[end]))
        {
            end++;
        }
        return end - start;
    }

    private static bool IsNegative(string text, int start)
    {
        int sign = start - 1;
        if (sign >= 0 && text[sign] is '$' or '€' or '£')
        {
            sign--;
        }
        if (sign < 0 || text[sign] is not ('-' or '−'))
        {
            return false;
        }
        int before = sign - 1;
        return before < 0 || !(char.IsLetterOrDigit(text[before]) || text[before] is ')' or '-' or '−');
    }
}
