using System.Diagnostics;
using TrainServe.Server.Contracts;
using TrainServe.Server.Generation;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Telemetry;

/// <summary>Watches one answer: a span of the trace, and the times and counts of the metrics. It never sees a text.</summary>
internal sealed class AnswerObserver : IDisposable
{
    public const string SourceName = "TrainServe";

    private static readonly ActivitySource Source = new(SourceName);
    private readonly ServingMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly string _model;
    private readonly long _started;
    private readonly TagList _tags;
    private readonly Activity? _activity;
    private readonly PrometheusHistogram.Series _betweenTokens;
    private readonly long[] _lastToken;
    private int _begun, _ended;

    /// <param name="metrics">Where to count.</param>
    /// <param name="time">The clock.</param>
    /// <param name="operation">chat or text_completion.</param>
    /// <param name="answer">The answer's name.</param>
    /// <param name="request">What was asked for.</param>
    /// <param name="requestId">The name under which the logs speak of it.</param>
    /// <param name="choices">How many choices are made.</param>
    /// <param name="started">When the request came.</param>
    public AnswerObserver(ServingMetrics metrics, TimeProvider time, string operation, AnswerIdentity answer, GenerationFields request, string requestId, int choices, long started)
    {
        (_metrics, _time, _model, _started) = (metrics, time, answer.Model, started);
        _tags = new TagList { { "gen_ai.operation.name", operation }, { "gen_ai.provider.name", "trainserve" }, { "gen_ai.request.model", answer.Model }, { "gen_ai.response.model", answer.Model } };
        _betweenTokens = metrics.InterTokenLatency.Of(_model);
        _lastToken = new long[choices];
        _activity = Source.StartActivity($"{operation} {answer.Model}", ActivityKind.Internal);
        if (_activity is not null)
        {
            foreach (var (name, value) in _tags)
            {
                _activity.SetTag(name, value);
            }
            _activity.SetTag("gen_ai.response.id", answer.Id).SetTag("gen_ai.request.choice.count", choices).SetTag("trainserve.request.id", requestId)
                .SetTag("trainserve.model.version", answer.Fingerprint).SetTag("gen_ai.request.max_tokens", request.MaxTokens).SetTag("gen_ai.request.temperature", request.Temperature)
                .SetTag("gen_ai.request.top_p", request.TopP).SetTag("gen_ai.request.seed", request.Seed);
        }
    }

    /// <summary>A choice got a token. Each choice is told of by one thread at a time.</summary>
    public void Token(int choice)
    {
        long now = _time.GetTimestamp();
        if (Interlocked.Exchange(ref _begun, 1) == 0)
        {
            double first = _time.GetElapsedTime(_started, now).TotalSeconds;
            _metrics.TimeToFirstToken.Of(_model).Observe(first);
            _metrics.FirstToken.Record(first, _tags);
            _activity?.AddEvent(new ActivityEvent("first_token"));
        }
        if (_lastToken[choice] != 0)
        {
            double between = _time.GetElapsedTime(_lastToken[choice], now).TotalSeconds;
            _betweenTokens.Observe(between);
            _metrics.EachToken.Record(between, _tags);
        }
        _lastToken[choice] = now;
    }

    public void Finished(CompletionUsage usage, IReadOnlyList<string> finishReasons)
    {
        if (Interlocked.Exchange(ref _ended, 1) != 0)
        {
            return;
        }
        Count(usage);
        foreach (string reason in finishReasons)
        {
            _metrics.Successes.Add(1, _model, reason);
        }
        _metrics.RequestPromptTokens.Of(_model).Observe(usage.PromptTokens);
        _metrics.RequestGenerationTokens.Of(_model).Observe(usage.CompletionTokens);
        _activity?.SetTag("gen_ai.response.finish_reasons", finishReasons.ToArray());
        End(_tags);
    }

    /// <param name="usage">What was used until then.</param>
    /// <param name="status">What the caller got; 499 for who left.</param>
    public void Failed(CompletionUsage usage, int status)
    {
        if (Interlocked.Exchange(ref _ended, 1) != 0)
        {
            return;
        }
        Count(usage);
        string error = status.ToString(System.Globalization.CultureInfo.InvariantCulture);
        _metrics.Failures.Add(1, _model, error);
        _activity?.SetTag("error.type", error).SetStatus(ActivityStatusCode.Error);
        var tags = _tags;
        tags.Add("error.type", error);
        End(tags);
    }

    public void Dispose() => _activity?.Dispose();

    private void Count(CompletionUsage usage)
    {
        _metrics.PromptTokens.Add(usage.PromptTokens, _model);
        _metrics.GenerationTokens.Add(usage.CompletionTokens, _model);
        _metrics.CachedTokens.Add(usage.PromptTokensDetails.CachedTokens, _model);
        foreach (var (kind, tokens) in new[] { ("input", usage.PromptTokens), ("output", usage.CompletionTokens) })
        {
            var tags = _tags;
            tags.Add("gen_ai.token.type", kind);
            _metrics.TokenUsage.Record(tokens, tags);
        }
        _activity?.SetTag("gen_ai.usage.input_tokens", usage.PromptTokens).SetTag("gen_ai.usage.output_tokens", usage.CompletionTokens);
    }

    private void End(in TagList tags)
    {
        double seconds = _time.GetElapsedTime(_started).TotalSeconds;
        _metrics.Latency.Of(_model).Observe(seconds);
        _metrics.Duration.Record(seconds, tags);
    }
}
