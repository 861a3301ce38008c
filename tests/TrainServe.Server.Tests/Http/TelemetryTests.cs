using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using TrainServe.Inference;
using TrainServe.TestSupport;

namespace TrainServe.Server.Tests.Http;

public sealed partial class TelemetryTests
{
    [Fact]
    public async Task Answers_are_counted_and_measured_under_the_names_of_vLLM()
    {
        await using var server = await TestServer.StartAsync(ScriptedEngine.Saying('h', 'i'));
        (await server.ChatAsync()).Dispose();
        (await server.ChatAsync("\"stream\":true,\"n\":2")).Dispose();
        var metrics = await MetricsAsync(server);
        Assert.Equal(30, metrics["vllm:prompt_tokens_total{model_name=\"tiny\"}"]);
        Assert.Equal(9, metrics["vllm:generation_tokens_total{model_name=\"tiny\"}"]);
        Assert.Equal(3, metrics["vllm:request_success_total{model_name=\"tiny\",finished_reason=\"stop\"}"]);
        Assert.Equal(2, metrics["vllm:time_to_first_token_seconds_count{model_name=\"tiny\"}"]);
        Assert.Equal(6, metrics["vllm:inter_token_latency_seconds_count{model_name=\"tiny\"}"]);
        Assert.Equal(2, metrics["vllm:e2e_request_latency_seconds_bucket{model_name=\"tiny\",le=\"+Inf\"}"]);
        Assert.Equal(30, metrics["vllm:request_prompt_tokens_sum{model_name=\"tiny\"}"]);
        Assert.Equal(0, metrics["vllm:num_requests_running{model_name=\"tiny\"}"]);
    }

    [Fact]
    public async Task Failures_are_counted_by_status()
    {
        await using var server = await TestServer.StartAsync(new ScriptedEngine { Script = (_, _) => throw new QueueFullException(1, 1) });
        (await server.ChatAsync()).Dispose();
        Assert.Equal(1, (await MetricsAsync(server))["trainserve:request_failure_total{model_name=\"tiny\",status=\"503\"}"]);
    }

    [Fact]
    public async Task Each_answer_is_a_span_with_the_names_of_the_GenAI_conventions_and_without_text()
    {
        var spans = new ConcurrentQueue<Activity>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == "TrainServe",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = spans.Enqueue,
        };
        ActivitySource.AddActivityListener(listener);
        await using var server = await TestServer.StartAsync(ScriptedEngine.Saying('h'));
        string id = $"mine-{Guid.NewGuid():N}";
        server.Client.DefaultRequestHeaders.Add("x-request-id", id);
        (await server.ChatAsync("\"temperature\":0.5,\"max_tokens\":7")).Dispose();
        // Other tests run at the same time.
        var span = Assert.Single(spans, span => Equals(span.GetTagItem("trainserve.request.id"), id));
        Assert.Equal("chat tiny", span.DisplayName);
        Assert.Equal(("chat", "tiny", 15, 2, 7), (span.GetTagItem("gen_ai.operation.name"), span.GetTagItem("gen_ai.request.model"), span.GetTagItem("gen_ai.usage.input_tokens"), span.GetTagItem("gen_ai.usage.output_tokens"), span.GetTagItem("gen_ai.request.max_tokens")));
        Assert.Equal(["stop"], (string[])span.GetTagItem("gen_ai.response.finish_reasons")!);
        Assert.Contains(span.Events, item => item.Name == "first_token");
        Assert.DoesNotContain(span.TagObjects, tag => $"{tag.Value}".Contains("hello", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Traces_and_metrics_are_sent_to_the_collector_that_is_named()
    {
        using var collector = new HttpListener();
        int port = FreePort.Find();
        collector.Prefixes.Add($"http://127.0.0.1:{port}/");
        collector.Start();
        var received = new ConcurrentDictionary<string, string>(StringComparer.Ordinal);
        _ = Task.Run(async () =>
        {
            while (collector.IsListening)
            {
                var context = await collector.GetContextAsync();
                using var body = new MemoryStream();
                await context.Request.InputStream.CopyToAsync(body);
                received.AddOrUpdate(context.Request.Url!.AbsolutePath, Encoding.Latin1.GetString(body.ToArray()), (_, old) => old + Encoding.Latin1.GetString(body.ToArray()));
                context.Response.Close();
            }
        });
        await using (var server = await TestServer.StartAsync(ScriptedEngine.Saying('h'), "--otlp-endpoint", $"http://127.0.0.1:{port}"))
        {
            (await server.ChatAsync()).Dispose();
            await server.StopAsync();
        }
        await Eventually.AssertAsync(() => received.ContainsKey("/v1/traces") && received.ContainsKey("/v1/metrics"));
        Assert.Contains("chat tiny", received["/v1/traces"]);
        Assert.Contains("gen_ai.server.time_to_first_token", received["/v1/metrics"]);
        Assert.Contains("gen_ai.client.token.usage", received["/v1/metrics"]);
        Assert.DoesNotContain("hello world", received["/v1/traces"]);
    }

    [Fact]
    public async Task The_dashboard_asks_for_nothing_that_is_not_measured()
    {
        await using var server = await TestServer.StartAsync(ScriptedEngine.Saying('h'));
        string text = await server.Client.GetStringAsync("/metrics");
        string dashboard = File.ReadAllText(RepositoryRoot.PathOf("deploy/grafana/dashboards/trainserve.json"));
        using var json = JsonDocument.Parse(dashboard);
        string[] names = [.. MetricName().Matches(dashboard).Select(match => Suffix().Replace(match.Value, "")).Distinct()];
        Assert.InRange(names.Length, 8, 100);
        Assert.All(names, name => Assert.Contains($"# TYPE {name} ", text));
        Assert.NotEmpty(json.RootElement.GetProperty("panels").EnumerateArray());
    }

    // The stream's last count is written after its last byte.
    private static async Task<Dictionary<string, double>> MetricsAsync(TestServer server)
    {
        await Task.Delay(200);
        string text = await server.Client.GetStringAsync("/metrics");
        return text.Split('\n').Where(line => line.Length > 0 && line[0] != '#')
            .ToDictionary(line => line[..line.LastIndexOf(' ')], line => double.Parse(line[(line.LastIndexOf(' ') + 1)..], System.Globalization.CultureInfo.InvariantCulture), StringComparer.Ordinal);
    }

    [GeneratedRegex("(vllm|trainserve):[a-z0-9_]+", RegexOptions.NonBacktracking)]
    private static partial Regex MetricName();

    [GeneratedRegex("_(bucket|sum|count)$", RegexOptions.NonBacktracking)]
    private static partial Regex Suffix();
}
