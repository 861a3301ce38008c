using System.Runtime.InteropServices;

namespace TrainServe.Training.Data.Cleaning;

/// <summary>A text as the set of its runs of five words: what near-duplicates have in common.</summary>
/// <remarks>
/// A word is a run of letters and digits in lower case, so that punctuation, case and line breaks make no difference; a character of a script that writes no
/// spaces (Chinese, Japanese kana) is a word by itself. A text of fewer than five words is one shingle, one without words has none. Runs of five words: Penedo et al. 2024
/// (FineWeb), arXiv:2406.17557.
/// </remarks>
public static class WordShingles
{
    public const int Words = 5;
    private const ulong Offset = 14695981039346656037, Prime = 1099511628211;

    /// <summary>The distinct shingles' hashes, 64 bits, in rising order.</summary>
    public static ulong[] Of(ReadOnlySpan<char> text)
    {
        var words = WordHashes(text);
        var hashes = CollectionsMarshal.AsSpan(words);
        if (hashes.IsEmpty)
        {
            return [];
        }
        var shingles = new ulong[Math.Max(1, hashes.Length - Words + 1)];
        for (int i = 0; i < shingles.Length; i++)
        {
            shingles[i] = Combined(hashes.Slice(i, Math.Min(Words, hashes.Length)));
        }
        Array.Sort(shingles);
        int distinct = 1;
        for (int i = 1; i < shingles.Length; i++)
        {
            if (shingles[i] != shingles[distinct - 1])
            {
                shingles[distinct++] = shingles[i];
            }
        }
        return shingles[..distinct];
    }

    /// <summary>Size of the intersection over size of the union; 0 when both sets are empty.</summary>
    /// <param name="first">Distinct, rising.</param>
    /// <param name="second">Distinct, rising.</param>
    public static double Jaccard(ReadOnlySpan<ulong> first, ReadOnlySpan<ulong> second)
    {
        int common = 0, i = 0, j = 0;
        while (i < first.Length && j < second.Length)
        {
            ulong a = first[i], b = second[j];
            common += a == b ? 1 : 0;
            i += a <= b ? 1 : 0;
            j += b <= a ? 1 : 0;
        }
        int union = first.Length + second.Length - common;
        return union == 0 ? 0 : (double)common / union;
    }

    /// <summary>One hash for some words in their order.</summary>
    internal static ulong Combined(ReadOnlySpan<ulong> words)
    {
        ulong hash = Offset;
        foreach (ulong word in words)
        {
            hash = Mixed((hash ^ word) * Prime);
        }
        return hash;
    }

    // The finalizer of MurmurHash3: every bit of the result depends on every bit.
    internal static ulong Mixed(ulong value)
    {
        value = (value ^ (value >> 33)) * 0xFF51AFD7ED558CCD;
        value = (value ^ (value >> 33)) * 0xC4CEB9FE1A85EC53;
        return value ^ (value >> 33);
    }

    private static List<ulong> WordHashes(ReadOnlySpan<char> text)
    {
        var words = new List<ulong>(text.Length / 5);
        ulong hash = Offset;
        bool isInWord = false;
        foreach (char character in text)
        {
            bool standsAlone = character is >= '\u3040' and <= '\u9FFF';
            if (isInWord && (standsAlone || !char.IsLetterOrDigit(character)))
            {
                words.Add(Mixed(hash));
                (hash, isInWord) = (Offset, false);
            }
            if (standsAlone)
            {
                words.Add(Mixed((Offset ^ character) * Prime));
            }
            else if (char.IsLetterOrDigit(character))
            {
                hash = (hash ^ char.ToLowerInvariant(character)) * Prime;
                isInWord = true;
            }
        }
        if (isInWord)
        {
            words.Add(Mixed(hash));
        }
        return words;
    }
}
