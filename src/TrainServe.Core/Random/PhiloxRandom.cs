namespace TrainServe.Core.Random;

/// <summary>A counter-based random generator: the numbers are a pure function of seed, stream and position.</summary>
/// <remarks>
/// Philox 4x32 with 10 rounds: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011. A state is three numbers, so that
/// a shuffle, a rollout or a request's seed can be saved and resumed, and the same position gives the same number whatever else ran.
/// Not for secrets. Not safe for use from several threads.
/// </remarks>
public sealed class PhiloxRandom
{
    private const uint Multiplier0 = 0xD2511F53, Multiplier1 = 0xCD9E8D57, Weyl0 = 0x9E3779B9, Weyl1 = 0xBB67AE85;
    private readonly uint[] _block = new uint[4];
    private ulong _blockIndex = ulong.MaxValue;

    /// <param name="seed">The key: what the user chose.</param>
    /// <param name="stream">Which of the seed's independent sequences: an epoch, a request, a sample.</param>
    /// <param name="position">How many 32-bit numbers of it were already used.</param>
    public PhiloxRandom(ulong seed, ulong stream = 0, ulong position = 0) => (Seed, Stream, Position) = (seed, stream, position);

    public ulong Seed { get; }
    public ulong Stream { get; }

    /// <summary>How many 32-bit numbers were used; give it to the constructor to go on from here.</summary>
    public ulong Position { get; private set; }

    /// <summary>The ten-round bijection on one counter.</summary>
    public static void Block(ReadOnlySpan<uint> counter, ReadOnlySpan<uint> key, Span<uint> result)
    {
        uint c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
        for (int round = 0; round < 10; round++)
        {
            ulong product0 = (ulong)Multiplier0 * c0, product1 = (ulong)Multiplier1 * c2;
            (c0, c1, c2, c3) = ((uint)(product1 >> 32) ^ c1 ^ k0, (uint)product1, (uint)(product0 >> 32) ^ c3 ^ k1, (uint)product0);
            k0 += Weyl0;
            k1 += Weyl1;
        }
        (result[0], result[1], result[2], result[3]) = (c0, c1, c2, c3);
    }

    public uint NextUInt32()
    {
        ulong index = Position >> 2;
        if (index != _blockIndex)
        {
            Block([(uint)index, (uint)(index >> 32), (uint)Stream, (uint)(Stream >> 32)], [(uint)Seed, (uint)(Seed >> 32)], _block);
            _blockIndex = index;
        }
        return _block[(int)(Position++ & 3)];
    }

    public ulong NextUInt64() => NextUInt32() | ((ulong)NextUInt32() << 32);

    /// <summary>Uniform in [0, 1), 24 bits.</summary>
    public float NextSingle() => (NextUInt32() >> 8) * (1f / (1 << 24));

    /// <summary>Uniform in [0, 1), 53 bits.</summary>
    public double NextDouble() => (NextUInt64() >> 11) * (1.0 / (1L << 53));

    /// <summary>Uniform in [0, bound), without bias (Lemire 2019, arXiv:1805.10941).</summary>
    /// <exception cref="ArgumentOutOfRangeException">The bound is not positive.</exception>
    public int NextInt32(int bound)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bound);
        uint range = (uint)bound;
        ulong product = (ulong)NextUInt32() * range;
        if ((uint)product < range)
        {
            uint threshold = (uint)-range % range;
            while ((uint)product < threshold)
            {
                product = (ulong)NextUInt32() * range;
            }
        }
        return (int)(product >> 32);
    }

    /// <summary>Standard normal, by Box and Muller's transform; uses four 32-bit numbers.</summary>
    public double NextGaussian()
    {
        double radius = Math.Sqrt(-2 * Math.Log(1 - NextDouble()));
        return radius * Math.Cos(2 * Math.PI * NextDouble());
    }

    /// <summary>Fisher and Yates's shuffle, in place.</summary>
    public void Shuffle<T>(Span<T> items)
    {
        for (int last = items.Length - 1; last > 0; last--)
        {
            int other = NextInt32(last + 1);
            (items[last], items[other]) = (items[other], items[last]);
        }
    }
}
