namespace TrainServe.Training.Data;

/// <summary>How much of the data was consumed: rows of each source, over all epochs. With the seed it says what comes next.</summary>
public sealed record DataCursor(IReadOnlyList<long> RowsBySource)
{
    public long Rows => RowsBySource.Sum();

    public static DataCursor Start(int sources) => new(new long[sources]);
}
