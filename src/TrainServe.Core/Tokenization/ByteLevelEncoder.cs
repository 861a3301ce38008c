using System.Collections.Concurrent;
using System.Text;
using Microsoft.ML.Tokenizers;

namespace TrainServe.Core.Tokenization;

/// <summary>A word to the ids of its tokens, for a byte-level vocabulary. Safe for use from several threads.</summary>
internal sealed class ByteLevelEncoder
{
    // Natural text has no longer words; see BytePairMerger for why they take another way.
    private const int LongWord = 256;
    private const int LongestCachedWord = 64, CachedWords = 1 << 17;

    private readonly BpeTokenizer _bpe;
    private readonly BytePairMerger _merger;
    private readonly int[] _idOfByte = new int[256];
    private readonly Dictionary<string, int>? _wholeWords;
    private ConcurrentDictionary<string, int[]> _cache = new(StringComparer.Ordinal);

    // Beside the cache, because its own Count takes all of its locks.
    private int _cachedWords;

    public ByteLevelEncoder(TokenizerDefinition definition)
    {
        // Added tokens are left out, so that no word can become one.
        var added = definition.AddedTokens.Select(token => token.Content).ToHashSet(StringComparer.Ordinal);
        var vocabulary = definition.Vocabulary.Where(pair => !added.Contains(pair.Key)).ToDictionary(StringComparer.Ordinal);
        int Id(string token, string merge) => vocabulary.TryGetValue(token, out int id) ? id
            : throw new InvalidDataException($"{definition.Source}: model.merges has the pair '{merge}', but '{token}' is not an ordinary token of model.vocab.");
        _merger = new BytePairMerger([.. definition.Merges.Select(pair =>
            (Id(pair.Left, $"{pair.Left} {pair.Right}"), Id(pair.Right, $"{pair.Left} {pair.Right}"), Id(pair.Left + pair.Right, $"{pair.Left} {pair.Right}")))]);
        for (int value = 0; value < 256; value++)
        {
            _idOfByte[value] = vocabulary.GetValueOrDefault(ByteLevelAlphabet.ToChar((byte)value).ToString(), -1);
        }
        _wholeWords = definition.IgnoreMerges ? vocabulary : null;
        _bpe = BpeTokenizer.Create(new BpeOptions(vocabulary) { Merges = definition.Merges.Select(pair => $"{pair.Left} {pair.Right}"), ByteLevel = true });
    }

    public void Encode(ReadOnlySpan<char> word, List<int> ids)
    {
        if (word.Length > LongestCachedWord)
        {
            EncodeUncached(word, ids);
            return;
        }
        var cache = _cache.GetAlternateLookup<ReadOnlySpan<char>>();
        if (!cache.TryGetValue(word, out int[]? known))
        {
            var found = new List<int>();
            EncodeUncached(word, found);
            known = [.. found];
            Remember(word.ToString(), known);
        }
        ids.AddRange(known);
    }

    /// <summary>The same without memory; the tests hold the two ways of encoding to each other through it.</summary>
    internal void EncodeUncached(ReadOnlySpan<char> word, List<int> ids, bool? asLong = null)
    {
        if (_wholeWords is not null && word.Length <= LongWord && _wholeWords.TryGetValue(ByteLevelAlphabet.ToText(word), out int whole))
        {
            ids.Add(whole);
        }
        else if (asLong ?? word.Length > LongWord)
        {
            EncodeLong(word, ids);
        }
        else
        {
            ids.AddRange(_bpe.EncodeToIds(word, considerPreTokenization: false, considerNormalization: false));
        }
    }

    private void EncodeLong(ReadOnlySpan<char> word, List<int> ids)
    {
        var utf8 = new byte[Encoding.UTF8.GetByteCount(word)];
        Encoding.UTF8.GetBytes(word, utf8);
        var pieces = new int[utf8.Length];
        int count = 0;
        foreach (byte value in utf8)
        {
            if (_idOfByte[value] >= 0)
            {
                pieces[count++] = _idOfByte[value];
            }
        }
        count = _merger.Merge(pieces.AsSpan(0, count));
        ids.AddRange(pieces.AsSpan(0, count));
    }

    private void Remember(string word, int[] ids)
    {
        if (Interlocked.Increment(ref _cachedWords) > CachedWords)
        {
            // Starting over keeps a flood of invented words from shutting the real ones out for good.
            _cache = new ConcurrentDictionary<string, int[]>(StringComparer.Ordinal);
            _cachedWords = 0;
        }
        _cache.TryAdd(word, ids);
    }
}
