using System.Threading.Channels;

namespace TrainServe.Training.Data;

/// <summary>Reads batches ahead on a thread of its own. What it read ahead is in no checkpoint: that holds the cursor of the batches taken.</summary>
public sealed class BatchPrefetcher : IDisposable
{
    private readonly Channel<TokenBatch> _channel;
    private readonly CancellationTokenSource _stop = new();
    private readonly Thread _thread;

    /// <param name="source">Used by this thread alone from now on.</param>
    /// <param name="start">Where to begin.</param>
    /// <param name="rows">Rows of each batch.</param>
    /// <param name="ahead">Batches that may wait.</param>
    public BatchPrefetcher(IBatchSource source, DataCursor start, int rows, int ahead = 4)
    {
        _channel = Channel.CreateBounded<TokenBatch>(new BoundedChannelOptions(ahead) { SingleReader = true, SingleWriter = true });
        _thread = new Thread(() => Fill(source, start, rows)) { IsBackground = true, Name = "batches" };
        _thread.Start();
    }

    /// <summary>The next batch.</summary>
    /// <exception cref="InvalidDataException">Reading failed; what the source threw.</exception>
    public TokenBatch Take()
    {
        try
        {
            return _channel.Reader.ReadAsync().AsTask().GetAwaiter().GetResult();
        }
        catch (ChannelClosedException error) when (error.InnerException is { } inner)
        {
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(inner);
            throw;
        }
    }

    public void Dispose()
    {
        _stop.Cancel();
        _thread.Join();
        _stop.Dispose();
    }

    private void Fill(IBatchSource source, DataCursor cursor, int rows)
    {
        try
        {
            while (true)
            {
                var batch = source.Read(cursor, rows);
                cursor = batch.After;
                _channel.Writer.WriteAsync(batch, _stop.Token).AsTask().GetAwaiter().GetResult();
            }
        }
        catch (OperationCanceledException)
        {
            _channel.Writer.TryComplete();
        }
        catch (Exception error)
        {
            _channel.Writer.TryComplete(error);
        }
    }
}
