using System.Runtime.InteropServices;

namespace TrainServe.Training.Data.Cleaning;

/// <summary>What the quality rules measure of a text. Words are runs without white space, lines are those that hold something, paragraphs lie between blank lines.</summary>
/// <remarks>Fractions of characters are of the characters of words, lines or paragraphs, without the white space between them. Only second and later occurrences count as repeated.</remarks>
public sealed class TextProfile
{
    private static readonly string[] StopWords = ["the", "be", "to", "of", "and", "that", "have", "with"];
    private readonly string _text;
    private readonly List<Range> _words = [];
    private readonly List<ulong> _hashes = [];
    private readonly List<Range> _lines = [];
    private readonly List<Range> _paragraphs = [];
    private long _wordCharacters;
    private double? _repeatedInFives;

    public TextProfile(string text)
    {
        _text = text;
        FindWords();
        FindLines();
    }

    public int Words => _words.Count;
    public double MeanWordLength => Ratio(_wordCharacters, Words);

    /// <summary>Hash signs, or ellipses if there are more of them, over words.</summary>
    public double SymbolsPerWord => Ratio(Math.Max(Count("#"), Count("...") + Count("\u2026")), Words);
    public double BulletLines => Ratio(_lines.Count(line => _text[line][0] is '\u2022' or '\u2023' or '\u25CF' or '\u25E6' or '-' or '*'), _lines.Count);
    public double EllipsisLines => Ratio(_lines.Count(line => _text[line] is var content && (content.EndsWith("...", StringComparison.Ordinal) || content.EndsWith('\u2026'))), _lines.Count);
    public double WordsWithLetter => Ratio(_words.Count(word => _text.AsSpan(word).ContainsAnyLetter()), Words);

    /// <summary>How many of the, be, to, of, and, that, have, with occur.</summary>
    public int StopWordKinds
    {
        get
        {
            int found = 0;
            foreach (var word in _words)
            {
                var trimmed = _text.AsSpan(word).Trim(".,;:!?\"'()\u201C\u201D\u2018\u2019");
                for (int i = 0; i < StopWords.Length; i++)
                {
                    found |= trimmed.Equals(StopWords[i], StringComparison.OrdinalIgnoreCase) ? 1 << i : 0;
                }
            }
            return int.PopCount(found);
        }
    }

    public double RepeatedLines => Repeated(_lines).Items;
    public double RepeatedLineCharacters => Repeated(_lines).Characters;
    public double RepeatedParagraphs => Repeated(_paragraphs).Items;
    public double RepeatedParagraphCharacters => Repeated(_paragraphs).Characters;

    /// <summary>Sentences: words that end in a full stop, exclamation or question mark, perhaps before a quote or bracket.</summary>
    public int Sentences => _words.Count(word => _text.AsSpan(word).TrimEnd("\"')]\u201D\u2019") is [.., '.' or '!' or '?' or '\u3002' or '\uFF01' or '\uFF1F']);

    public bool Contains(string part) => _text.Contains(part, StringComparison.OrdinalIgnoreCase);

    /// <summary>The part of the words' characters that lies in the commonest run of n words, if that occurs more than once.</summary>
    public double MostFrequent(int n)
    {
        var counts = new Dictionary<ulong, int>();
        var hashes = CollectionsMarshal.AsSpan(_hashes);
        long most = 0;
        for (int i = 0; i + n <= hashes.Length; i++)
        {
            ref int count = ref CollectionsMarshal.GetValueRefOrAddDefault(counts, WordShingles.Combined(hashes.Slice(i, n)), out _);
            count++;
            if (count > 1)
            {
                most = Math.Max(most, (long)count * Length(i, n));
            }
        }
        return Math.Min(1, Ratio(most, _wordCharacters));
    }

    /// <summary>The part of the words' characters that lies in runs of n words which occurred before; a character counts once.</summary>
    public double InRepeatedRuns(int n)
    {
        _repeatedInFives ??= InRuns(5);
        return n == 5 ? _repeatedInFives.Value : InRuns(n);
    }

    private double InRuns(int n)
    {
        var seen = new HashSet<ulong>();
        var hashes = CollectionsMarshal.AsSpan(_hashes);
        long characters = 0;
        int counted = 0;
        for (int i = 0; i + n <= hashes.Length; i++)
        {
            if (seen.Add(WordShingles.Combined(hashes.Slice(i, n))))
            {
                continue;
            }
            int from = Math.Max(counted, i);
            characters += Length(from, i + n - from);
            counted = i + n;
        }
        return Ratio(characters, _wordCharacters);
    }

    private long Length(int first, int count)
    {
        long length = 0;
        for (int i = first; i < first + count; i++)
        {
            length += _words[i].End.Value - _words[i].Start.Value;
        }
        return length;
    }

    private (double Items, double Characters) Repeated(List<Range> parts)
    {
        var seen = new HashSet<ulong>();
        long items = 0, characters = 0, all = 0;
        foreach (var part in parts)
        {
            int length = part.End.Value - part.Start.Value;
            all += length;
            if (!seen.Add(Hash(_text.AsSpan(part))))
            {
                items++;
                characters += length;
            }
        }
        return (Ratio(items, parts.Count), Ratio(characters, all));
    }

    private int Count(string symbol) => _text.AsSpan().Count(symbol);

    private void FindWords()
    {
        int start = -1;
        for (int i = 0; i <= _text.Length; i++)
        {
            bool isOutside = i == _text.Length || char.IsWhiteSpace(_text[i]);
            if (!isOutside && start < 0)
            {
                start = i;
            }
            else if (isOutside && start >= 0)
            {
                _words.Add(start..i);
                _hashes.Add(Hash(_text.AsSpan(start, i - start)));
                _wordCharacters += i - start;
                start = -1;
            }
        }
    }

    private void FindLines()
    {
        int paragraphStart = -1, paragraphEnd = 0;
        foreach (var range in _text.AsSpan().Split('\n'))
        {
            var (offset, length) = range.GetOffsetAndLength(_text.Length);
            var line = _text.AsSpan(offset, length);
            int leading = length - line.TrimStart().Length, content = line.Trim().Length;
            if (content == 0)
            {
                AddParagraph();
                continue;
            }
            var trimmed = (offset + leading)..(offset + leading + content);
            _lines.Add(trimmed);
            paragraphStart = paragraphStart < 0 ? trimmed.Start.Value : paragraphStart;
            paragraphEnd = trimmed.End.Value;
        }
        AddParagraph();

        void AddParagraph()
        {
            if (paragraphStart >= 0)
            {
                _paragraphs.Add(paragraphStart..paragraphEnd);
                paragraphStart = -1;
            }
        }
    }

    private static ulong Hash(ReadOnlySpan<char> part)
    {
        ulong hash = 14695981039346656037;
        foreach (char character in part)
        {
            hash = (hash ^ character) * 1099511628211;
        }
        return WordShingles.Mixed(hash);
    }

    private static double Ratio(long part, long whole) => whole == 0 ? 0 : (double)part / whole;
}

internal static class SpanLetters
{
    public static bool ContainsAnyLetter(this ReadOnlySpan<char> word)
    {
        foreach (char character in word)
        {
            if (char.IsLetter(character))
            {
                return true;
            }
        }
        return false;
    }
}
