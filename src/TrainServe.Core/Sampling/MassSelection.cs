namespace TrainServe.Core.Sampling;

/// <summary>Finds the fewest largest tokens that have a given mass together, by partitioning as quickselect does: in time linear in the vocabulary, without sorting it.</summary>
internal static class MassSelection
{
    /// <param name="logits">[V]</param>
    /// <param name="weights">[V]: the mass of each, larger for larger logits.</param>
    /// <param name="needed">The mass to reach; if all together miss it by rounding, all are kept.</param>
    /// <param name="order">Scratch, [V].</param>
    public static Cut Find(ReadOnlySpan<float> logits, ReadOnlySpan<float> weights, double needed, Span<int> order)
    {
        for (int id = 0; id < order.Length; id++)
        {
            order[id] = id;
        }
        int start = 0, end = order.Length;
        while (true)
        {
            // What lies before start is kept already, and its mass taken off; the cut is in [start, end).
            int pivot = Partition(logits, order, start, end);
            double better = 0;
            for (int i = start; i < pivot; i++)
            {
                better += weights[order[i]];
            }
            if (better >= needed && pivot > start)
            {
                end = pivot;
                continue;
            }
            needed -= better + weights[order[pivot]];
            if (needed <= 0 || pivot == end - 1)
            {
                return new Cut(logits[order[pivot]], order[pivot]);
            }
            start = pivot + 1;
        }
    }

    /// <summary>Puts what is better than the middle token before it and the rest behind it; gives its new place.</summary>
    private static int Partition(ReadOnlySpan<float> logits, Span<int> order, int start, int end)
    {
        int middle = (start + end) / 2, last = end - 1;
        (order[middle], order[last]) = (order[last], order[middle]);
        int pivot = order[last], next = start;
        for (int i = start; i < last; i++)
        {
            int id = order[i];
            if (logits[id] > logits[pivot] || (logits[id] == logits[pivot] && id < pivot))
            {
                (order[next], order[i]) = (id, order[next]);
                next++;
            }
        }
        (order[next], order[last]) = (pivot, order[next]);
        return next;
    }
}
