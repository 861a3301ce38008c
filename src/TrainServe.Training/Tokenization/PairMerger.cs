using System.Runtime.InteropServices;

namespace TrainServe.Training.Tokenization;

/// <summary>Merges the most frequent pair of neighbours in a set of counted words, again and again.</summary>
/// <remarks>
/// Sennrich, Haddow, Birch 2016, arXiv:1508.07909. Counts are kept up to date as words change; a pair's place in the queue is only refreshed when it comes up,
/// because a count that is not the queue's can only have fallen since, or else the pair was queued again. Ties go to the pair with the smaller ids.
/// </remarks>
internal sealed class PairMerger
{
    // Word w is the first _lengths[w] of _symbols from _starts[w].
    private readonly int[] _symbols, _starts, _lengths;
    private readonly long[] _wordCounts;
    private readonly Dictionary<ulong, Pair> _pairs = [];
    private readonly PriorityQueue<Pair, (long Count, ulong Key)> _queue = new(new MostFrequentFirst());

    /// <param name="words">Each word's bytes and how often it occurs.</param>
    public PairMerger(IReadOnlyList<(byte[] Bytes, long Count)> words)
    {
        _starts = new int[words.Count];
        _lengths = new int[words.Count];
        _wordCounts = new long[words.Count];
        _symbols = new int[words.Sum(word => word.Bytes.Length)];
        int next = 0;
        for (int word = 0; word < words.Count; word++)
        {
            var (bytes, count) = words[word];
            (_starts[word], _lengths[word], _wordCounts[word]) = (next, bytes.Length, count);
            foreach (byte value in bytes)
            {
                _symbols[next++] = value;
            }
            for (int i = 0; i + 1 < bytes.Length; i++)
            {
                Add(bytes[i], bytes[i + 1], count, word);
            }
        }
        Enqueue(_pairs.Values);
    }

    /// <summary>Tokens that the words have now, each word as often as it occurs.</summary>
    public long TokenCount => _lengths.Select((length, word) => length * _wordCounts[word]).Sum();

    /// <summary>The most frequent pair; null when none occurs that often.</summary>
    public (int Left, int Right, long Count)? Top(long minFrequency)
    {
        while (_queue.TryDequeue(out var pair, out var priority))
        {
            if (pair.Count == priority.Count && pair.Count >= minFrequency)
            {
                return ((int)(pair.Key >> 32), (int)(uint)pair.Key, pair.Count);
            }
            if (pair.Count < priority.Count && pair.Count >= minFrequency)
            {
                _queue.Enqueue(pair, (pair.Count, pair.Key));
            }
        }
        return null;
    }

    /// <summary>Replaces a pair by one symbol wherever it occurs, from left to right.</summary>
    public void Merge(int left, int right, int merged)
    {
        _pairs.Remove(Key(left, right), out var pair);
        pair!.Count = 0;
        var grown = new HashSet<Pair>();
        foreach (int word in pair.Words)
        {
            MergeInWord(word, left, right, merged, grown);
        }
        Enqueue(grown);
    }

    private void MergeInWord(int word, int left, int right, int merged, HashSet<Pair> grown)
    {
        var symbols = _symbols.AsSpan(_starts[word], _lengths[word]);
        long count = _wordCounts[word];
        int kept = 0;
        for (int i = 0; i < symbols.Length; i++)
        {
            if (symbols[i] != left || i + 1 == symbols.Length || symbols[i + 1] != right)
            {
                symbols[kept++] = symbols[i];
                continue;
            }
            if (kept > 0)
            {
                Subtract(symbols[kept - 1], left, count);
                grown.Add(Add(symbols[kept - 1], merged, count, word));
            }
            if (i + 2 < symbols.Length)
            {
                Subtract(right, symbols[i + 2], count);
                grown.Add(Add(merged, symbols[i + 2], count, word));
            }
            symbols[kept++] = merged;
            i++;
        }
        _lengths[word] = kept;
    }

    private Pair Add(int left, int right, long count, int word)
    {
        ulong key = Key(left, right);
        ref var pair = ref CollectionsMarshal.GetValueRefOrAddDefault(_pairs, key, out _);
        pair ??= new Pair(key);
        pair.Count += count;
        if (pair.Words.Count == 0 || pair.Words[^1] != word)
        {
            pair.Words.Add(word);
        }
        return pair;
    }

    private void Subtract(int left, int right, long count)
    {
        // The pair that is being merged is not there any more, nor need it be.
        if (_pairs.TryGetValue(Key(left, right), out var pair))
        {
            pair.Count -= count;
        }
    }

    private void Enqueue(IEnumerable<Pair> pairs)
    {
        foreach (var pair in pairs)
        {
            if (pair.Count > 0)
            {
                _queue.Enqueue(pair, (pair.Count, pair.Key));
            }
        }
    }

    private static ulong Key(int left, int right) => ((ulong)(uint)left << 32) | (uint)right;

    private sealed class Pair(ulong key)
    {
        public ulong Key => key;
        public long Count { get; set; }

        /// <summary>Words that hold the pair, or once held it.</summary>
        public List<int> Words { get; } = [];
    }

    private sealed class MostFrequentFirst : IComparer<(long Count, ulong Key)>
    {
        public int Compare((long Count, ulong Key) x, (long Count, ulong Key) y) => x.Count != y.Count ? y.Count.CompareTo(x.Count) : x.Key.CompareTo(y.Key);
    }
}
