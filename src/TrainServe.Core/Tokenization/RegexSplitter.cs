using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace TrainServe.Core.Tokenization;

/// <summary>A splitting pattern without a hand-written twin, run by .NET's regex: each match is a word, and so is what lies between two matches.</summary>
/// <remarks>
/// .NET matches UTF-16 units. A code point outside the Basic Multilingual Plane is replaced, for matching only, by one character inside it that has the same
/// general category, so that <c>\p{L}</c> and its kin see what Hugging Face's regex sees. Constructs that mean something else in .NET are refused.
/// </remarks>
internal sealed partial class RegexSplitter : WordSplitter
{
    private static readonly char[] StandIns = MakeStandIns();
    private readonly Regex _regex;

    private RegexSplitter(Regex regex) => _regex = regex;

    /// <exception cref="NotSupportedException">The pattern means something else in .NET, or nothing; the message says what.</exception>
    public static RegexSplitter Create(string pattern)
    {
        if (Foreign().Match(pattern) is { Success: true } found)
        {
            throw new NotSupportedException($"it uses {found.Value}, which .NET's regex reads differently");
        }
        try
        {
            return new RegexSplitter(new Regex(pattern, RegexOptions.CultureInvariant | RegexOptions.Multiline | RegexOptions.Compiled, TimeSpan.FromSeconds(10)));
        }
        catch (ArgumentException error)
        {
            throw new NotSupportedException($"it is not a pattern of .NET's regex: {error.Message}", error);
        }
    }

    public override void Split(ReadOnlySpan<char> text, List<int> ends)
    {
        ends.Clear();
        bool hasPairs = text.IndexOfAnyInRange('\uD800', '\uDFFF') >= 0;
        var (subject, positions) = hasPairs ? Shadow(text) : (null, null);
        int start = 0;
        foreach (var match in _regex.EnumerateMatches(subject is null ? text : subject))
        {
            int matchStart = positions is null ? match.Index : positions[match.Index];
            int matchEnd = positions is null ? match.Index + match.Length : positions[match.Index + match.Length];
            if (matchStart > start)
            {
                ends.Add(matchStart);
            }
            if (matchEnd > matchStart)
            {
                ends.Add(matchEnd);
            }
            start = Math.Max(start, matchEnd);
        }
        if (start < text.Length)
        {
            ends.Add(text.Length);
        }
    }

    private static (string Subject, int[] Positions) Shadow(ReadOnlySpan<char> text)
    {
        var subject = new StringBuilder(text.Length);
        var positions = new List<int>(text.Length + 1);
        for (int i = 0; i < text.Length;)
        {
            positions.Add(i);
            Rune.DecodeFromUtf16(text[i..], out var rune, out int length);
            subject.Append(length == 1 ? text[i] : StandIns[(int)Rune.GetUnicodeCategory(rune)]);
            i += length;
        }
        positions.Add(text.Length);
        return (subject.ToString(), [.. positions]);
    }

    // For each category the last character of the Basic Multilingual Plane that has it: the one that a pattern is least likely to name.
    private static char[] MakeStandIns()
    {
        var standIns = new char[30];
        for (int unit = 0; unit <= char.MaxValue; unit++)
        {
            standIns[(int)CharUnicodeInfo.GetUnicodeCategory((char)unit)] = (char)unit;
        }
        return standIns;
    }

    // Possessive quantifiers, POSIX brackets, class intersections and subtractions, \w and \b (other sets of characters), and Onigmo's own escapes.
    [GeneratedRegex(@"(?<!\\)[?*+]\+|\[\[:\^?\w+:\]|&&|-\[|(?<!\\)(?:\\\\)*\\[wWbBhHRXKgGyYO]|\\[pP]\{\^|\(\?[~yW]", RegexOptions.None, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Foreign();
}
