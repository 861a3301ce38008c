namespace TrainServe.Training.Data;

/// <summary>Rows of several sources, each as often as its weight says.</summary>
/// <remarks>The next row is of the source that is furthest behind its share, so that the shares hold at every moment and not only on average.</remarks>
public sealed class RowMixture : IBatchSource
{
    private readonly IReadOnlyList<IRowSource> _sources;
    private readonly double[] _shares;
    private readonly int _columns;

    /// <param name="sources">At least one.</param>
    /// <param name="weights">One for each, above 0.</param>
    /// <param name="columns">T.</param>
    public RowMixture(IReadOnlyList<IRowSource> sources, IReadOnlyList<double> weights, int columns)
    {
        if (sources.Count == 0 || weights.Count != sources.Count)
        {
            throw new ArgumentException($"There are {sources.Count} sources and {weights.Count} weights.", nameof(weights));
        }
        double sum = weights.Sum();
        _shares = [.. weights.Select(weight => weight / sum)];
        (_sources, _columns) = (sources, columns);
    }

    public IReadOnlyList<double> Shares => _shares;
    public DataCursor Start => DataCursor.Start(_sources.Count);

    /// <summary>As many rows as all sources have together.</summary>
    public long RowsPerEpoch => _sources.Sum(source => source.RowsPerEpoch);

    public TokenBatch Read(DataCursor cursor, int rows)
    {
        var consumed = cursor.RowsBySource.ToArray();
        int[] inputs = new int[rows * _columns], targets = new int[rows * _columns], segments = new int[rows * _columns];
        var origin = new string[rows];
        for (int row = 0; row < rows; row++)
        {
            int next = FurthestBehind(consumed), start = row * _columns;
            origin[row] = _sources[next].Read(consumed[next], inputs.AsSpan(start, _columns), targets.AsSpan(start, _columns), segments.AsSpan(start, _columns));
            consumed[next]++;
        }
        return new TokenBatch(rows, _columns, inputs, targets, new DataCursor(consumed), string.Join(' ', origin))
        {
            Segments = _sources.Any(source => source.SeparatesTexts) ? segments : null,
        };
    }

    public DataCursor Skip(DataCursor cursor, int rows)
    {
        var consumed = cursor.RowsBySource.ToArray();
        for (int row = 0; row < rows; row++)
        {
            consumed[FurthestBehind(consumed)]++;
        }
        return new DataCursor(consumed);
    }

    private int FurthestBehind(long[] consumed)
    {
        long total = consumed.Sum() + 1;
        int best = 0;
        double most = double.NegativeInfinity;
        for (int i = 0; i < consumed.Length; i++)
        {
            double behind = _shares[i] * total - consumed[i];
            if (behind > most)
            {
                (best, most) = (i, behind);
            }
        }
        return best;
    }
}
