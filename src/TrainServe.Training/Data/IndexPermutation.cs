using System.Numerics;
using TrainServe.Core.Random;

namespace TrainServe.Training.Data;

/// <summary>A random order of 0..n-1 without a table: the place of each index is computed, so that a cursor is one number.</summary>
/// <remarks>
/// A Feistel network whose round function is Philox, on the smallest even number of bits that holds n; a value outside is sent through again
/// ("cycle walking": Black and Rogaway 2002, "Ciphers with Arbitrary Finite Domains").
/// </remarks>
public readonly struct IndexPermutation
{
    private const int Rounds = 6;
    private readonly ulong _seed, _stream;
    private readonly int _halfBits;

    /// <param name="count">n, at least 1.</param>
    /// <param name="seed">The user's.</param>
    /// <param name="stream">Which of the seed's permutations.</param>
    public IndexPermutation(long count, ulong seed, ulong stream)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        (Count, _seed, _stream) = (count, seed, stream);
        int bits = 64 - BitOperations.LeadingZeroCount((ulong)Math.Max(count - 1, 1));
        _halfBits = (bits + 1) / 2;
    }

    public long Count { get; }

    /// <summary>What comes at a place.</summary>
    public long this[long place]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfNegative(place);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(place, Count);
            do
            {
                place = Encipher(place);
            }
            while (place >= Count);
            return place;
        }
    }

    private long Encipher(long value)
    {
        uint mask = (uint)((1UL << _halfBits) - 1);
        uint left = (uint)((ulong)value >> _halfBits) & mask, right = (uint)value & mask;
        Span<uint> block = stackalloc uint[4];
        for (uint round = 0; round < Rounds; round++)
        {
            PhiloxRandom.Block([right, round, (uint)_stream, (uint)(_stream >> 32)], [(uint)_seed, (uint)(_seed >> 32)], block);
            (left, right) = (right, left ^ (block[0] & mask));
        }
        return (long)(((ulong)left << _halfBits) | right);
    }
}
