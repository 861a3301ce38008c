using System.Text.RegularExpressions;
using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests.Deployment;

public sealed partial class MonitoringTests
{
    [Theory]
    [InlineData("check", "config", "prometheus.yml")]
    [InlineData("test", "rules", "alerts.test.yml")]
    public async Task Prometheus_takes_its_configuration_and_alerts_fire_when_they_should(string verb, string what, string file)
    {
        string? promtool = Programs.Find("promtool");
        Assert.SkipWhen(promtool is null, "promtool is not installed (on Debian: prometheus)");
        var (code, output) = await Programs.RunAsync(promtool, verb, what, RepositoryRoot.PathOf($"deploy/prometheus/{file}"));
        Assert.True(code == 0, output);
    }

    [Fact]
    public async Task What_alerts_the_dashboard_and_the_adapter_read_is_what_the_server_reports()
    {
        using var models = new TemporaryDirectory();
        ModelDirectory.Tiny(models.PathOf("tiny"), contextLength: 128);
        await using var server = await ServerProcess.StartAsync(models.FullName, "--threads", "1");
        await server.AnswerAsync("""{"model":"tiny","messages":[{"role":"user","content":"hello"}],"max_tokens":2,"ignore_eos":true}""");
        string reported = await server.Client.GetStringAsync("/metrics");
        string[] files = ["deploy/prometheus/alerts.yml", "deploy/grafana/dashboards/trainserve.json", "deploy/README.md"];
        string[] read = [.. files.SelectMany(file => Metrics().Matches(File.ReadAllText(RepositoryRoot.PathOf(file))).Select(match => match.Value)).Distinct(StringComparer.Ordinal)];
        Assert.Contains("vllm:num_requests_waiting", read);
        Assert.All(read, metric => Assert.Contains($"# TYPE {HistogramPart().Replace(metric, "")} ", reported, StringComparison.Ordinal));
    }

    [GeneratedRegex("(vllm|trainserve):[a-z0-9_]+", RegexOptions.NonBacktracking)]
    private static partial Regex Metrics();

    [GeneratedRegex("_(bucket|sum|count)$")]
    private static partial Regex HistogramPart();
}
