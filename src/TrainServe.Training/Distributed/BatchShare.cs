using TrainServe.Core;
using TrainServe.Training.Data;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.Distributed;

/// <summary>This process's part of every step's rows.</summary>
/// <param name="Before">Rows of the step that belong to processes before this one.</param>
/// <param name="Rows">Its own.</param>
/// <param name="After">Rows that belong to processes behind it.</param>
/// <param name="MicroRows">Rows of its own that are computed at once.</param>
public sealed record BatchShare(int Before, int Rows, int After, int MicroRows)
{
    /// <exception cref="RecipeException">The rows cannot be shared evenly; the message says what to change.</exception>
    public static BatchShare Of(TrainingSection training, IProcessGroup processes)
    {
        int all = training.BatchRows, rows = all / processes.Size;
        if (rows == 0)
        {
            throw new RecipeException($"training.batch_rows is {all} and there are {processes.Size} processes, so that some would have nothing to do; start at most {all}, or raise training.batch_rows.");
        }
        if (rows * processes.Size != all)
        {
            throw new RecipeException($"training.batch_rows is {all}, which {processes.Size} processes cannot share evenly; make it a multiple of {processes.Size}.");
        }
        int micro = Math.Min(training.MicroBatchRows ?? all, rows);
        return rows % micro == 0 ? new BatchShare(processes.Rank * rows, rows, all - (processes.Rank + 1) * rows, micro)
            : throw new RecipeException($"Each of the {processes.Size} processes has {rows} rows of a step, which training.micro_batch_rows, {micro}, does not divide.");
    }

    /// <summary>This process's rows of the next step, in portions.</summary>
    /// <param name="data">All rows.</param>
    /// <param name="cursor">Where the step begins.</param>
    /// <returns>The portions, and the cursor behind the rows of all processes.</returns>
    public (IReadOnlyList<TokenBatch> Portions, DataCursor After) Read(IBatchSource data, DataCursor cursor)
    {
        var portions = new List<TokenBatch>();
        cursor = data.Skip(cursor, Before);
        for (int row = 0; row < Rows; row += MicroRows)
        {
            portions.Add(data.Read(cursor, MicroRows));
            cursor = portions[^1].After;
        }
        return (portions, data.Skip(cursor, After));
    }
}
