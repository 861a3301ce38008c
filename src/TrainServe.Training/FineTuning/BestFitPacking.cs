namespace TrainServe.Training.FineTuning;

/// <summary>Places texts of given lengths into rows.</summary>
/// <remarks>Best fit: each goes into the row that has the least room that suffices; Johnson et al. 1974 bound the rows by 1.7 times the fewest possible, and many short texts fill rows nearly whole.</remarks>
public static class BestFitPacking
{
    /// <param name="lengths">In the order in which they are placed; none longer than a row.</param>
    /// <param name="columns">Length of a row.</param>
    /// <returns>For each row the numbers of its texts.</returns>
    public static List<List<int>> Pack(IReadOnlyList<int> lengths, int columns)
    {
        var rows = new List<List<int>>();
        // Rows with room, by room and then by number.
        var open = new SortedSet<(int Room, int Row)>();
        for (int text = 0; text < lengths.Count; text++)
        {
            int length = lengths[text];
            ArgumentOutOfRangeException.ThrowIfGreaterThan(length, columns, nameof(lengths));
            var fitting = open.GetViewBetween((length, 0), (columns, int.MaxValue));
            if (fitting.Count == 0)
            {
                open.Add((columns - length, rows.Count));
                rows.Add([text]);
                continue;
            }
            var best = fitting.Min;
            open.Remove(best);
            rows[best.Row].Add(text);
            open.Add((best.Room - length, best.Row));
        }
        return rows;
    }
}
