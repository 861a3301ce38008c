using TrainServe.Training.Data;

namespace TrainServe.Training.Alignment;

/// <summary>Which example of which source comes when: a function of seed and place, so that a run's cursor is one number.</summary>
/// <remarks>Each source's examples come in another random order each epoch; the next one is of the source that is furthest behind its share.</remarks>
public sealed class ExampleOrder
{
    private readonly int[] _counts;
    private readonly double[] _shares;
    private readonly long[] _taken;
    private readonly ulong _seed;
    private readonly List<(int Source, long Place)> _order = [];

    /// <param name="counts">Examples of each source, at least one.</param>
    /// <param name="weights">Each source's share of the examples; null for as many as it has.</param>
    /// <param name="seed">Of the run.</param>
    public ExampleOrder(IReadOnlyList<int> counts, IReadOnlyList<double>? weights, ulong seed)
    {
        double[] parts = weights is null ? [.. counts.Select(count => (double)count)] : [.. weights];
        (_counts, _shares, _taken, _seed) = ([.. counts], [.. parts.Select(part => part / parts.Sum())], new long[counts.Count], seed);
    }

    /// <summary>Examples of all sources.</summary>
    public long Count => _counts.Sum(count => (long)count);

    /// <param name="place">Counted over all epochs.</param>
    public (int Source, int Example) this[long place]
    {
        get
        {
            while (_order.Count <= place)
            {
                int next = FurthestBehind();
                _order.Add((next, _taken[next]++));
            }
            var (source, taken) = _order[(int)place];
            long epoch = taken / _counts[source];
            return (source, (int)new IndexPermutation(_counts[source], _seed, RandomStreams.Of(RandomPurpose.RowOrder, epoch, source))[taken % _counts[source]]);
        }
    }

    private int FurthestBehind()
    {
        int best = 0;
        double most = double.NegativeInfinity;
        for (int source = 0; source < _counts.Length; source++)
        {
            double behind = _shares[source] * (_order.Count + 1) - _taken[source];
            if (behind > most)
            {
                (best, most) = (source, behind);
            }
        }
        return best;
    }
}
