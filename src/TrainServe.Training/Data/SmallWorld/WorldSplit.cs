namespace TrainServe.Training.Data.SmallWorld;

/// <summary>What a world is for. Worlds of two splits share no thing and no place, so that what a test asks for was never said in training.</summary>
public enum WorldSplit
{
    Train,
    Validation,
    Test,
}

internal static class Splits
{
    /// <summary>Lists by split, in the order of the items.</summary>
    public static IReadOnlyList<T>[] Divide<T>(IEnumerable<(T Item, WorldSplit Split)> items)
    {
        var lists = Enum.GetValues<WorldSplit>().Select(_ => new List<T>()).ToArray();
        foreach (var (item, split) in items)
        {
            lists[(int)split].Add(item);
        }
        return lists;
    }

    /// <summary>Divides what has no natural order, such as pairs: a tenth for testing, a tenth for validation.</summary>
    /// <param name="one">A number.</param>
    /// <param name="other">Another one; the order of the two matters.</param>
    public static WorldSplit OfPair(int one, int other)
    {
        // Knuth's multiplicative hash, twice; the high bits are the good ones.
        uint hash = ((((uint)one * 2654435761u) ^ (uint)other) * 2654435761u) >> 16;
        return (hash % 10) switch
        {
            0 => WorldSplit.Test,
            1 => WorldSplit.Validation,
            _ => WorldSplit.Train,
        };
    }
}
