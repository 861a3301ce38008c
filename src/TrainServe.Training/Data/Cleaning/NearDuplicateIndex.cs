using Microsoft.Win32.SafeHandles;
using System.Runtime.InteropServices;

namespace TrainServe.Training.Data.Cleaning;

/// <summary>Texts that were kept, to be found again by what resembles them. Candidates come from MinHash bands and are then compared exactly.</summary>
/// <remarks>In memory a text takes about 300 bytes; its shingles lie in a file, 8 bytes a word, which is removed at the end.</remarks>
internal sealed class NearDuplicateIndex : IDisposable
{
    private readonly double _threshold;
    private readonly SafeFileHandle _file;
    private readonly List<(long Offset, int Count)> _shingles = [];
    private readonly List<uint> _keys = [];

    // In each band texts of one bucket are a chain: the bucket's newest text, and of each text the one before it.
    private readonly List<int> _before = [];
    private int[] _newest = [];
    private int _buckets;
    private long _length;

    /// <param name="threshold">Least Jaccard similarity of near-duplicates.</param>
    /// <param name="path">For the shingles; made, and removed when this is disposed.</param>
    public NearDuplicateIndex(double threshold, string path)
    {
        _threshold = threshold;
        _file = File.OpenHandle(path, FileMode.Create, FileAccess.ReadWrite, FileShare.None, FileOptions.DeleteOnClose | FileOptions.RandomAccess);
        Grow(1 << 10);
    }

    public int Count => _shingles.Count;

    /// <summary>The first text that is similar enough, or null.</summary>
    public (int Index, double Jaccard)? Find(ReadOnlySpan<ulong> shingles, ReadOnlySpan<uint> keys)
    {
        var candidates = new SortedSet<int>();
        for (int band = 0; band < MinHasher.Bands; band++)
        {
            for (int text = _newest[Bucket(band, keys[band])]; text >= 0; text = _before[text * MinHasher.Bands + band])
            {
                if (_keys[text * MinHasher.Bands + band] == keys[band])
                {
                    candidates.Add(text);
                }
            }
        }
        foreach (int candidate in candidates)
        {
            int count = _shingles[candidate].Count;
            // No two sets are more similar than the smaller is part of the larger.
            bool isPossible = (double)Math.Min(count, shingles.Length) / Math.Max(count, shingles.Length) >= _threshold;
            if (isPossible && WordShingles.Jaccard(Read(candidate), shingles) is var jaccard && jaccard >= _threshold)
            {
                return (candidate, jaccard);
            }
        }
        return null;
    }

    /// <summary>Adds a text; its index is the number of texts before it.</summary>
    public void Add(ReadOnlySpan<ulong> shingles, ReadOnlySpan<uint> keys)
    {
        if (Count == _buckets)
        {
            Grow(_buckets * 2);
        }
        var bytes = MemoryMarshal.AsBytes(shingles);
        RandomAccess.Write(_file, bytes, _length);
        _shingles.Add((_length, shingles.Length));
        _length += bytes.Length;
        _keys.AddRange(keys);
        for (int band = 0; band < MinHasher.Bands; band++)
        {
            ref int newest = ref _newest[Bucket(band, keys[band])];
            _before.Add(newest);
            newest = Count - 1;
        }
    }

    /// <summary>Adds a text that nothing can resemble, so that indices stay those of the texts.</summary>
    public void AddEmpty()
    {
        if (Count == _buckets)
        {
            Grow(_buckets * 2);
        }
        _shingles.Add((_length, 0));
        for (int band = 0; band < MinHasher.Bands; band++)
        {
            _keys.Add(0);
            _before.Add(-1);
        }
    }

    public void Dispose() => _file.Dispose();

    private int Bucket(int band, uint key) => band * _buckets + (int)(key & (uint)(_buckets - 1));

    private void Grow(int buckets)
    {
        _buckets = buckets;
        _newest = new int[checked(buckets * MinHasher.Bands)];
        Array.Fill(_newest, -1);
        for (int text = 0; text < Count; text++)
        {
            for (int band = 0; band < MinHasher.Bands && _shingles[text].Count > 0; band++)
            {
                ref int newest = ref _newest[Bucket(band, _keys[text * MinHasher.Bands + band])];
                _before[text * MinHasher.Bands + band] = newest;
                newest = text;
            }
        }
    }

    private ulong[] Read(int text)
    {
        var (offset, count) = _shingles[text];
        var shingles = new ulong[count];
        var rest = MemoryMarshal.AsBytes(shingles.AsSpan());
        while (!rest.IsEmpty)
        {
            int read = RandomAccess.Read(_file, rest, offset);
            if (read == 0)
            {
                throw new IOException("The temporary file of shingles was cut off by somebody else.");
            }
            rest = rest[read..];
            offset += read;
        }
        return shingles;
    }
}
