namespace TrainServe.Training.Distributed;

/// <summary>Rows of numbers that several processes make together: each makes its part, and afterwards all have all of them.</summary>
internal static class SharedRows
{
    /// <summary>This process's part of some rows, one after the other; empty where there are fewer rows than processes.</summary>
    public static Range Part(IProcessGroup processes, int rows) => (int)((long)rows * processes.Rank / processes.Size)..(int)((long)rows * (processes.Rank + 1) / processes.Size);

    /// <summary>Fills in what the others made.</summary>
    /// <param name="processes">Call it together.</param>
    /// <param name="rows">Null where another process has made it; every row is made by exactly one.</param>
    /// <returns>The rows, the same in all processes to the last bit: nothing but zeros is added to a number.</returns>
    public static double[][] Complete(IProcessGroup processes, double[]?[] rows)
    {
        if (processes.Size == 1)
        {
            return rows!;
        }
        double[] lengths = [.. rows.Select(row => (double)(row?.Length ?? 0))];
        processes.Sum(lengths);
        double[] numbers = new double[(long)lengths.Sum()];
        int at = 0;
        for (int row = 0; row < rows.Length; row++)
        {
            rows[row]?.CopyTo(numbers, at);
            at += (int)lengths[row];
        }
        processes.Sum(numbers);
        var complete = new double[rows.Length][];
        at = 0;
        for (int row = 0; row < rows.Length; row++)
        {
            complete[row] = numbers[at..(at + (int)lengths[row])];
            at += (int)lengths[row];
        }
        return complete;
    }
}
