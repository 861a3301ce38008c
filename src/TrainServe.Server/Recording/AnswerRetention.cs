using TrainServe.Feedback;

namespace TrainServe.Server.Recording;

/// <summary>Removes what is older than the operator wants to keep: at the start, and every hour.</summary>
internal sealed partial class AnswerRetention(AnswerRecorder recorder, ServerOptions options, TimeProvider time, ILogger<AnswerRetention> log) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromHours(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (recorder.Store is not { } store || options.FeedbackDays == 0)
        {
            return;
        }
        using var timer = new PeriodicTimer(Interval, time);
        try
        {
            do
            {
                await RemoveAsync(store, stoppingToken);
            }
            while (await timer.WaitForNextTickAsync(stoppingToken));
        }
        catch (OperationCanceledException)
        {
            // The server ends.
        }
    }

    private async Task RemoveAsync(FeedbackStore store, CancellationToken cancellationToken)
    {
        try
        {
            int removed = await store.DeleteOlderAsync(time.GetUtcNow().AddDays(-options.FeedbackDays), cancellationToken);
            if (removed > 0)
            {
                LogRemoved(log, removed, options.FeedbackDays);
            }
        }
        catch (FeedbackStoreException fault)
        {
            LogFailed(log, fault);
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "{Count} answers older than {Days} days are removed, with the feedback on them.")]
    private static partial void LogRemoved(ILogger log, int count, int days);

    [LoggerMessage(Level = LogLevel.Error, Message = "Old answers cannot be removed.")]
    private static partial void LogFailed(ILogger log, Exception fault);
}
