using System.Collections.Concurrent;
using System.Threading.Channels;
using Polly;
using Polly.Retry;
using TrainServe.Feedback;
using TrainServe.Inference;
using TrainServe.Server.Catalogue;
using TrainServe.Server.Generation;
using TrainServe.Server.Requests;
using TrainServe.Server.Security;
using TrainServe.Server.Telemetry;

namespace TrainServe.Server.Recording;

/// <summary>Keeps the answers whose callers asked for it, in a store that no answer ever waits for.</summary>
/// <remarks>One loop writes what a bounded queue holds. What the queue or the store cannot take is counted and logged, and the chat goes on. At the end of the server's life the queue is emptied.</remarks>
internal sealed partial class AnswerRecorder : IHostedService
{
    private const int MostWaiting = 1024, MostTogether = 64;
    private const long MostWaitingLength = 64 << 20;
    private readonly Channel<AnswerRecord> _queue = Channel.CreateBounded<AnswerRecord>(new BoundedChannelOptions(MostWaiting) { SingleReader = true });
    private readonly ConcurrentDictionary<string, TaskCompletionSource> _waiting = new(StringComparer.Ordinal);
    private readonly ServingMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly ILogger<AnswerRecorder> _log;
    private readonly ResiliencePipeline _again;
    private readonly FeedbackStore? _store;
    private long _waitingLength;
    private Task _writing = Task.CompletedTask;

    public AnswerRecorder(ServerOptions options, ServingMetrics metrics, TimeProvider time, ILogger<AnswerRecorder> log)
    {
        (_metrics, _time, _log) = (metrics, time, log);
        _store = options.Feedback.Length > 0 && FeedbackLocation.TryParse(options.Feedback, out _) is { } location ? new FeedbackStore(location) : null;
        // A database that is restarted is back in a moment, and nobody waits for this.
        _again = new ResiliencePipelineBuilder { TimeProvider = time }
            .AddRetry(new RetryStrategyOptions { ShouldHandle = new PredicateBuilder().Handle<FeedbackStoreException>(), MaxRetryAttempts = 2, Delay = TimeSpan.FromMilliseconds(250), BackoffType = DelayBackoffType.Exponential })
            .Build();
    }

    /// <summary>Where answers are kept; null where none are.</summary>
    public FeedbackStore? Store => _store;

    /// <exception cref="InvalidRequestException">Nothing is kept here.</exception>
    public FeedbackStore RequireStore() => _store ?? throw new InvalidRequestException(
        "This server keeps no answers and takes no feedback: it runs without the option Feedback (--feedback sqlite:PATH).", code: "feedback_not_enabled", status: StatusCodes.Status404NotFound);

    /// <summary>Takes the answer to a request; null where it is not to be kept.</summary>
    public AnswerRecord? Begin(RequestFields request, ServedModel model, AnswerIdentity answer, ApiKey? key, IReadOnlyList<GenerationRequest> plan)
    {
        if (_store is null || request is not ConversationFields { Store: true } conversation)
        {
            return null;
        }
        var sampling = plan[0].Sampling;
        return new AnswerRecord(new StoredAnswer
        {
            Id = answer.Id,
            Key = key?.Name ?? "",
            Model = model.Id,
            ModelVersion = model.LineageId,
            Created = _time.GetUtcNow(),
            Prompt = ChatPrompt.Messages(conversation),
            Choices = [],
            Metadata = conversation.Metadata,
            Sampling = new AnswerSampling
            {
                Temperature = sampling.Temperature,
                TopP = sampling.TopP,
                TopK = sampling.TopK,
                MinP = sampling.MinP,
                TypicalP = sampling.TypicalP,
                FrequencyPenalty = sampling.FrequencyPenalty,
                PresencePenalty = sampling.PresencePenalty,
                RepetitionPenalty = sampling.RepetitionPenalty,
                MaxTokens = plan[0].MaxNewTokens,
                Seed = conversation.Seed,
            },
        }, plan.Count, Keep);
    }

    /// <summary>An answer that was kept for this key, also when it is only about to be.</summary>
    /// <exception cref="FeedbackStoreException">The store failed.</exception>
    public async Task<StoredAnswer?> FindAsync(string id, string key, CancellationToken cancellationToken)
    {
        await WrittenAsync(id, cancellationToken);
        return await RequireStore().FindAnswerAsync(id, key, cancellationToken);
    }

    /// <summary>Waits until an answer waits no longer.</summary>
    public Task WrittenAsync(string id, CancellationToken cancellationToken) => _waiting.TryGetValue(id, out var written) ? written.Task.WaitAsync(cancellationToken) : Task.CompletedTask;

    /// <exception cref="InvalidDataException">The store cannot be used.</exception>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        if (_store is null)
        {
            return;
        }
        await _store.PrepareAsync(cancellationToken);
        _writing = WriteAllAsync(_store);
    }

    public Task StopAsync(CancellationToken cancellationToken)
    {
        _queue.Writer.TryComplete();
        return _writing.WaitAsync(cancellationToken);
    }

    private void Keep(AnswerRecord record)
    {
        int length = record.Length;
        _waiting[record.Id] = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        if (Interlocked.Add(ref _waitingLength, length) <= MostWaitingLength && _queue.Writer.TryWrite(record))
        {
            return;
        }
        Interlocked.Add(ref _waitingLength, -length);
        Drop([record], "queue_full");
    }

    private async Task WriteAllAsync(FeedbackStore store)
    {
        var together = new List<AnswerRecord>(MostTogether);
        while (await _queue.Reader.WaitToReadAsync())
        {
            together.Clear();
            while (together.Count < MostTogether && _queue.Reader.TryRead(out var record))
            {
                together.Add(record);
            }
            await WriteAsync(store, together);
            Interlocked.Add(ref _waitingLength, -together.Sum(record => (long)record.Length));
        }
    }

    private async Task WriteAsync(FeedbackStore store, IReadOnlyList<AnswerRecord> records)
    {
        try
        {
            StoredAnswer[] answers = [.. records.Select(record => record.Whole())];
            await _again.ExecuteAsync(async stop => await store.AddAsync(answers, stop));
        }
        catch (Exception fault)
        {
            // Whatever it was, the next answers may fare better.
            LogFailed(_log, fault);
            Drop(records, "store_failed");
            return;
        }
        foreach (var record in records)
        {
            _metrics.AnswersStored.Add(1, record.Model);
            Release(record);
        }
    }

    private void Drop(IReadOnlyList<AnswerRecord> records, string reason)
    {
        foreach (var record in records)
        {
            _metrics.AnswersNotStored.Add(1, record.Model, reason);
            LogDropped(_log, record.Id, reason);
            Release(record);
        }
    }

    private void Release(AnswerRecord record)
    {
        if (_waiting.TryRemove(record.Id, out var written))
        {
            written.TrySetResult();
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "Answers cannot be kept.")]
    private static partial void LogFailed(ILogger log, Exception fault);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Answer {AnswerId} is not kept: {Reason}.")]
    private static partial void LogDropped(ILogger log, string answerId, string reason);
}
