namespace TrainServe.Core.Tokenization;

/// <summary>The splitting patterns that well-known models share, written out by hand over code points.</summary>
/// <remarks>
/// .NET's own regex sees UTF-16 units, so that to it a letter outside the Basic Multilingual Plane is two characters that are not letters;
/// Hugging Face's sees code points, and so does this. It is also about ten times as fast.
/// </remarks>
public sealed class PatternSplitter : WordSplitter
{
    /// <summary>GPT-2, and Hugging Face's <c>ByteLevel</c> with <c>use_regex</c>.</summary>
    public const string Gpt2Pattern = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    /// <summary>Qwen 2 and 3: digits one by one. Also what tokenizers trained here use.</summary>
    public const string SingleDigitPattern =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    /// <summary>Llama 3 and cl100k: digits in groups of at most three.</summary>
    public const string TripleDigitPattern =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    private readonly bool _gpt2;
    private readonly int _maxDigits;

    private PatternSplitter(bool gpt2, int maxDigits) => (_gpt2, _maxDigits) = (gpt2, maxDigits);

    public static PatternSplitter Gpt2 { get; } = new(gpt2: true, int.MaxValue);
    public static PatternSplitter SingleDigits { get; } = new(gpt2: false, 1);
    public static PatternSplitter TripleDigits { get; } = new(gpt2: false, 3);

    /// <summary>The splitter of a known pattern; null for any other.</summary>
    public static PatternSplitter? TryGet(string pattern) => pattern switch
    {
        Gpt2Pattern => Gpt2,
        SingleDigitPattern => SingleDigits,
        TripleDigitPattern => TripleDigits,
        _ => null,
    };

    public override void Split(ReadOnlySpan<char> text, List<int> ends)
    {
        ends.Clear();
        int start = 0;
        while (start < text.Length)
        {
            start = WordEnd(text, start);
            ends.Add(start);
        }
    }

    /// <summary>Where the word that begins at a position ends.</summary>
    public int WordEnd(ReadOnlySpan<char> text, int start) => _gpt2 ? Gpt2WordEnd(text, start) : ModernWordEnd(text, start);

    private int ModernWordEnd(ReadOnlySpan<char> text, int start)
    {
        var first = CharacterClasses.At(text, start, out int length);
        int next = start + length;
        if (first == CharacterClass.Letter)
        {
            return EndOf(CharacterClass.Letter, text, next);
        }
        if (first == CharacterClass.Number)
        {
            return DigitsEnd(text, next);
        }
        if (first == CharacterClass.LineBreak)
        {
            return SpaceEnd(text, start, next);
        }
        if (text[start] == '\'' && ContractionLength(text[next..], ignoreCase: true) is var contraction and > 0)
        {
            return next + contraction;
        }
        var second = next < text.Length ? CharacterClasses.At(text, next, out length) : (CharacterClass?)null;
        if (second == CharacterClass.Letter)
        {
            return EndOf(CharacterClass.Letter, text, next + length);
        }
        if (first == CharacterClass.Other || (text[start] == ' ' && second == CharacterClass.Other))
        {
            return EndOf(CharacterClass.LineBreak, text, EndOf(CharacterClass.Other, text, next));
        }
        return SpaceEnd(text, start, next);
    }

    private static int Gpt2WordEnd(ReadOnlySpan<char> text, int start)
    {
        if (text[start] == '\'' && ContractionLength(text[(start + 1)..], ignoreCase: false) is var contraction and > 0)
        {
            return start + 1 + contraction;
        }
        var kind = CharacterClasses.At(text, start, out int length);
        int next = start + length;
        if (text[start] == ' ' && next < text.Length && CharacterClasses.At(text, next, out length) is var second and <= CharacterClass.Number)
        {
            return EndOf(second, text, next + length);
        }
        if (kind <= CharacterClass.Number)
        {
            return EndOf(kind, text, next);
        }
        // \s+(?!\S)|\s+ : a run gives its last character to the word after it.
        int end = SpaceRunEnd(text, next);
        return end < text.Length && end - start > 1 ? end - 1 : end;
    }

    private int DigitsEnd(ReadOnlySpan<char> text, int next)
    {
        for (int digits = 1; digits < _maxDigits && next < text.Length && CharacterClasses.At(text, next, out int length) == CharacterClass.Number; digits++)
        {
            next += length;
        }
        return next;
    }

    // \s*[\r\n]+|\s+(?!\S)|\s+ : up to the run's last line break; without one, all but the last character, which goes to the word after it.
    private static int SpaceEnd(ReadOnlySpan<char> text, int start, int next)
    {
        int end = SpaceRunEnd(text, next);
        int lastBreak = text[start..end].LastIndexOfAny('\r', '\n');
        if (lastBreak >= 0)
        {
            return start + lastBreak + 1;
        }
        return end < text.Length && end - start > 1 ? end - 1 : end;
    }

    // All white space is inside the Basic Multilingual Plane: one unit each.
    private static int SpaceRunEnd(ReadOnlySpan<char> text, int position)
    {
        while (position < text.Length && CharacterClasses.At(text, position, out _) >= CharacterClass.Space)
        {
            position++;
        }
        return position;
    }

    private static int EndOf(CharacterClass kind, ReadOnlySpan<char> text, int position)
    {
        while (position < text.Length && CharacterClasses.At(text, position, out int length) == kind)
        {
            position += length;
        }
        return position;
    }

    // After an apostrophe: s, t, re, ve, m, ll, d. U+017F is another lower-case s, which case folding makes equal.
    private static int ContractionLength(ReadOnlySpan<char> rest, bool ignoreCase)
    {
        if (rest.IsEmpty)
        {
            return 0;
        }
        char first = ignoreCase ? Fold(rest[0]) : rest[0];
        if (first is 's' or 't' or 'm' or 'd')
        {
            return 1;
        }
        if (rest.Length < 2)
        {
            return 0;
        }
        char second = ignoreCase ? Fold(rest[1]) : rest[1];
        return (first, second) is ('r', 'e') or ('v', 'e') or ('l', 'l') ? 2 : 0;
    }

    private static char Fold(char character) => character is >= 'A' and <= 'Z' ? (char)(character | 0x20) : character == '\u017F' ? 's' : character;
}
