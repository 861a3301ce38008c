namespace TrainServe.Training.Data.SmallWorld;

/// <summary>What a world is for. No fact of a test world is ever told or asked for in a training world.</summary>
public enum WorldSplit
{
    Train,
    Test,
}

internal static class WorldSplits
{
    /// <summary>Whether a fact that joins two words, such as Mia and barn, belongs to a split: an eighth of all pairs is kept for testing, not more, because a network could learn what is never said. The order of the words does not matter.</summary>
    public static bool Owns(this WorldSplit split, string one, string other) =>
        ((string.CompareOrdinal(one, other) < 0 ? Hash(one, other) : Hash(other, one)) % 8 == 0) == (split == WorldSplit.Test);

    // FNV-1a over both words and a mark between them, then murmur3's last mixing: string.GetHashCode differs from run to run.
    private static uint Hash(string one, string other)
    {
        uint hash = 2166136261;
        foreach (char letter in one.Append('|').Concat(other))
        {
            hash = (hash ^ letter) * 16777619;
        }
        hash = (hash ^ (hash >> 16)) * 0x85EBCA6B;
        hash = (hash ^ (hash >> 13)) * 0xC2B2AE35;
        return hash ^ (hash >> 16);
    }
}
