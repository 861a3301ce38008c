namespace TrainServe.Training.Data;

/// <summary>What a random number is for. Each purpose has streams of its own, so that none shifts another's numbers.</summary>
public enum RandomPurpose
{
    /// <summary>The order of a source's rows in an epoch.</summary>
    RowOrder = 1,

    /// <summary>Where an epoch's first row starts.</summary>
    RowOffset = 2,

    /// <summary>Dropout, one stream a step.</summary>
    Dropout = 3,

    /// <summary>A new model's first weights.</summary>
    FirstWeights = 4,

    /// <summary>The order in which conversations are packed.</summary>
    PackingOrder = 5,

    /// <summary>What a policy samples, one stream a step.</summary>
    Rollout = 6,

    /// <summary>The order of minibatches, one stream an epoch of a step.</summary>
    Minibatches = 7,
}

/// <summary>Numbers of the streams of one seed.</summary>
public static class RandomStreams
{
    /// <param name="purpose">What for.</param>
    /// <param name="index">An epoch or a step.</param>
    /// <param name="source">A source's number.</param>
    public static ulong Of(RandomPurpose purpose, long index = 0, int source = 0) => ((ulong)purpose << 56) | ((ulong)source << 44) | ((ulong)index & ((1UL << 44) - 1));
}
