using TrainServe.Training.Data;

namespace TrainServe.Training.Distributed;

/// <summary>Reads the rows of the next step on a thread of its own while this step is computed.</summary>
/// <remarks>Rows are a function of the cursor, so that reading ahead changes no number; what is checkpointed is the cursor of what was consumed.</remarks>
internal sealed class RowsAhead(IBatchSource data, BatchShare share) : IDisposable
{
    private DataCursor? _cursor;
    private Task<(IReadOnlyList<TokenBatch> Portions, DataCursor After)>? _reading;

    /// <summary>This process's rows at a cursor; those behind them are begun to be read.</summary>
    public (IReadOnlyList<TokenBatch> Portions, DataCursor After) Take(DataCursor cursor)
    {
        Finish();
        var taken = _reading is { IsCompletedSuccessfully: true } && _cursor!.RowsBySource.SequenceEqual(cursor.RowsBySource) ? _reading.Result : share.Read(data, cursor);
        _cursor = taken.After;
        _reading = Task.Run(() => share.Read(data, taken.After));
        return taken;
    }

    public void Dispose() => Finish();

    // What went wrong ahead goes wrong again when it is its turn, and is told then.
    private void Finish()
    {
        if (_reading is not null)
        {
            Task.WaitAny(_reading);
        }
    }
}
