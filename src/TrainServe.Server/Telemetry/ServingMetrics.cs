using System.Diagnostics.Metrics;
using System.Text;
using TrainServe.Server.Catalogue;

namespace TrainServe.Server.Telemetry;

/// <summary>What is counted and measured of answers: for Prometheus under vLLM's names, and as OpenTelemetry's instruments under those of its GenAI conventions.</summary>
internal sealed class ServingMetrics : IDisposable
{
    public const string MeterName = "TrainServe";

    private static readonly double[] Latencies = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160],
        TokenLatencies = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5],
        Durations = [0.01, 0.05, 0.1, 0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480],
        TokenCounts = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000];

    private readonly Meter _meter;
    private readonly List<PrometheusFamily> _families;

    public ServingMetrics(ModelCatalogue catalogue, IMeterFactory meters)
    {
        _meter = meters.Create(MeterName);
        Duration = _meter.CreateHistogram<double>("gen_ai.server.request.duration", "s", "From the request to the end of its answer.");
        FirstToken = _meter.CreateHistogram<double>("gen_ai.server.time_to_first_token", "s", "From the request to the first token of its answer.");
        EachToken = _meter.CreateHistogram<double>("gen_ai.server.time_per_output_token", "s", "Between two tokens of an answer.");
        TokenUsage = _meter.CreateHistogram<long>("gen_ai.client.token.usage", "{token}", "Tokens of prompts and of answers.");
        _families =
        [
            Gauge(catalogue, "vllm:num_requests_running", "Sequences that are computed.", model => model.Engine.Status.Running),
            Gauge(catalogue, "vllm:num_requests_waiting", "Sequences that wait for a slot.", model => model.Engine.Status.Waiting),
            Gauge(catalogue, "vllm:kv_cache_usage_perc", "Share of the cache's slots that are taken; 1 is all.", model => model.Engine.Status is { Slots: > 0 } status ? (double)status.Running / status.Slots : 0),
            Counter(catalogue, "vllm:spec_decode_num_draft_tokens_total", "Tokens that were guessed ahead.", model => model.Engine.Status.TokensDrafted),
            Counter(catalogue, "vllm:spec_decode_num_accepted_tokens_total", "Those of them that were right.", model => model.Engine.Status.DraftedTokensAccepted),
            PromptTokens, GenerationTokens, CachedTokens, Successes, Failures, AnswersStored, AnswersNotStored, Feedback,
            TimeToFirstToken, InterTokenLatency, Latency, RequestPromptTokens, RequestGenerationTokens,
        ];
    }

    public PrometheusCounter PromptTokens { get; } = new("vllm:prompt_tokens_total", "Tokens of prompts.", "model_name");
    public PrometheusCounter GenerationTokens { get; } = new("vllm:generation_tokens_total", "Tokens that were made.", "model_name");
    public PrometheusCounter CachedTokens { get; } = new("vllm:prefix_cache_hits_total", "Tokens of prompts that did not have to be computed again.", "model_name");
    public PrometheusCounter Successes { get; } = new("vllm:request_success_total", "Answers that came to their end.", "model_name", "finished_reason");
    public PrometheusCounter Failures { get; } = new("trainserve:request_failure_total", "Requests for answers that failed, by the status that the caller got; 499 for who left.", "model_name", "status");
    public PrometheusCounter AnswersStored { get; } = new("trainserve:answers_stored_total", "Answers that were kept for feedback.", "model_name");
    public PrometheusCounter AnswersNotStored { get; } = new("trainserve:answers_not_stored_total", "Answers that should have been kept and were not: the queue was full, or the store failed.", "model_name", "reason");
    public PrometheusCounter Feedback { get; } = new("trainserve:feedback_total", "Feedback on answers.", "kind");
    public PrometheusHistogram TimeToFirstToken { get; } = new("vllm:time_to_first_token_seconds", "From the request to the first token of its answer.", Latencies, "model_name");
    public PrometheusHistogram InterTokenLatency { get; } = new("vllm:inter_token_latency_seconds", "Between two tokens of an answer.", TokenLatencies, "model_name");
    public PrometheusHistogram Latency { get; } = new("vllm:e2e_request_latency_seconds", "From the request to the end of its answer.", Durations, "model_name");
    public PrometheusHistogram RequestPromptTokens { get; } = new("vllm:request_prompt_tokens", "Tokens of a request's prompt.", TokenCounts, "model_name");
    public PrometheusHistogram RequestGenerationTokens { get; } = new("vllm:request_generation_tokens", "Tokens of a request's answer.", TokenCounts, "model_name");

    public Histogram<double> Duration { get; }
    public Histogram<double> FirstToken { get; }
    public Histogram<double> EachToken { get; }
    public Histogram<long> TokenUsage { get; }

    /// <summary>Everything, in Prometheus's text form.</summary>
    public string Text()
    {
        var text = new StringBuilder();
        _families.ForEach(family => family.Write(text));
        return text.ToString();
    }

    public void Dispose() => _meter.Dispose();

    private static PrometheusReading Gauge(ModelCatalogue catalogue, string name, string help, Func<ServedModel, double> measure) =>
        new("gauge", name, help, () => catalogue.Models.Select(model => (model.Id, measure(model))), "model_name");

    private static PrometheusReading Counter(ModelCatalogue catalogue, string name, string help, Func<ServedModel, double> measure) =>
        new("counter", name, help, () => catalogue.Models.Select(model => (model.Id, measure(model))), "model_name");
}
