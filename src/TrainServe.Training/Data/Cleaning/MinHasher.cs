using System.Numerics;

namespace TrainServe.Training.Data.Cleaning;

/// <summary>MinHash: of a set, the least value under each of many hash functions. Two sets agree in a value with the probability of their Jaccard similarity.</summary>
/// <remarks>
/// Broder 1997, "On the resemblance and containment of documents". The signature is divided into bands of rows; sets that agree in every row of a band are compared. Sets of
/// similarity s meet with probability 1 - (1 - s^rows)^bands (Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", 3.4). The functions are fixed, so that the same set has the
/// same signature on every machine.
/// </remarks>
public static class MinHasher
{
    /// <summary>20 bands of 5: a pair at the usual threshold, 0.8, meets with probability 0.9996, one of similarity 0.3 with 0.05.</summary>
    public const int Bands = 20, Rows = 5;
    private const int Functions = Bands * Rows;
    private static readonly uint[] Seeds = MakeSeeds();

    /// <summary>The probability that two sets of this similarity are compared.</summary>
    public static double Recall(double jaccard) => 1 - Math.Pow(1 - Math.Pow(jaccard, Rows), Bands);

    /// <summary>A hash of each band of the set's signature.</summary>
    /// <param name="shingles">Not empty.</param>
    public static uint[] BandKeys(ReadOnlySpan<ulong> shingles)
    {
        var signature = Signature(shingles);
        var keys = new uint[Bands];
        for (int band = 0; band < Bands; band++)
        {
            ulong key = (ulong)band;
            foreach (uint least in signature.AsSpan(band * Rows, Rows))
            {
                key = WordShingles.Mixed(key ^ least) + 1;
            }
            keys[band] = (uint)key;
        }
        return keys;
    }

    private static uint[] Signature(ReadOnlySpan<ulong> shingles)
    {
        var folded = new uint[shingles.Length];
        for (int i = 0; i < folded.Length; i++)
        {
            folded[i] = (uint)(shingles[i] ^ (shingles[i] >> 32));
        }
        var signature = new uint[Seeds.Length];
        for (int at = 0; at < Seeds.Length; at += Vector<uint>.Count)
        {
            var seeds = new Vector<uint>(Seeds, at);
            var least = new Vector<uint>(uint.MaxValue);
            foreach (uint shingle in folded)
            {
                // MurmurHash3's 32-bit finalizer without its last shift, which would not move the minimum's high bits.
                var hash = (new Vector<uint>(shingle) ^ seeds) * 0x85EBCA6B;
                hash = (hash ^ Vector.ShiftRightLogical(hash, 13)) * 0xC2B2AE35;
                least = Vector.Min(least, hash);
            }
            least.CopyTo(signature, at);
        }
        return signature;
    }

    // Padded to whole vectors; what the padding gives is not used.
    private static uint[] MakeSeeds()
    {
        var seeds = new uint[(Functions + Vector<uint>.Count - 1) / Vector<uint>.Count * Vector<uint>.Count];
        for (int i = 0; i < seeds.Length; i++)
        {
            seeds[i] = (uint)(WordShingles.Mixed((ulong)i + 1) >> 32);
        }
        return seeds;
    }
}
