using System.Runtime.CompilerServices;

namespace TrainServe.Core.Tokenization;

/// <summary>Byte-pair merges over ids in O(n log n), for words of any length.</summary>
/// <remarks>
/// Microsoft.ML.Tokenizers encodes a word in quadratic time (it closes the gap after every merge): 200,000 spaces in a row take it minutes.
/// This one keeps the pieces in a linked list and takes the lowest-ranked pair, leftmost first, from a heap. Both give the same ids.
/// </remarks>
internal sealed class BytePairMerger
{
    private readonly Dictionary<ulong, (int Rank, int Merged)> _merges = [];

    /// <param name="merges">Left, right and merged id, in the order of their ranks.</param>
    public BytePairMerger(IEnumerable<(int Left, int Right, int Merged)> merges)
    {
        int rank = 0;
        foreach (var (left, right, merged) in merges)
        {
            _merges.TryAdd(Key(left, right), (rank++, merged));
        }
    }

    /// <summary>Replaces the first ids of the buffer by what they merge to.</summary>
    /// <returns>How many are left.</returns>
    public int Merge(Span<int> ids)
    {
        int count = ids.Length;
        var next = new int[count];
        var previous = new int[count];
        var queue = new PriorityQueue<(int Position, int Left, int Right), (int Rank, int Position)>(count);
        for (int i = 0; i < count; i++)
        {
            (previous[i], next[i]) = (i - 1, i + 1 < count ? i + 1 : -1);
        }
        for (int i = 0; i + 1 < count; i++)
        {
            Offer(queue, ids, i, i + 1);
        }
        while (queue.TryDequeue(out var pair, out _))
        {
            int left = pair.Position, right = next[left];
            if (ids[left] != pair.Left || right < 0 || ids[right] != pair.Right)
            {
                continue; // one of the two was merged in the meantime
            }
            ids[left] = _merges[Key(pair.Left, pair.Right)].Merged;
            ids[right] = -1;
            next[left] = next[right];
            if (next[left] >= 0)
            {
                previous[next[left]] = left;
                Offer(queue, ids, left, next[left]);
            }
            if (previous[left] >= 0)
            {
                Offer(queue, ids, previous[left], left);
            }
        }
        int kept = 0;
        for (int i = 0; i < count; i++)
        {
            if (ids[i] >= 0)
            {
                ids[kept++] = ids[i];
            }
        }
        return kept;
    }

    private void Offer(PriorityQueue<(int Position, int Left, int Right), (int Rank, int Position)> queue, ReadOnlySpan<int> ids, int left, int right)
    {
        if (_merges.TryGetValue(Key(ids[left], ids[right]), out var merge))
        {
            queue.Enqueue((left, ids[left], ids[right]), (merge.Rank, left));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Key(int left, int right) => ((ulong)(uint)left << 32) | (uint)right;
}
