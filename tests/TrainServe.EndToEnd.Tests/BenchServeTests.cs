using System.Text.Json;
using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests;

/// <summary>The load generator as a user starts it, on the server as it is deployed.</summary>
public sealed class BenchServeTests(TinyServer tiny) : IClassFixture<TinyServer>, IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData("--concurrency", "2")]
    [InlineData("--rate", "50")]
    public async Task A_running_server_is_measured_by_its_address(string loop, string value)
    {
        string json = _directory.PathOf("figures.json");

        var result = await ConsoleHost.RunAsync(
            "bench", "serve", "--url", tiny.Server.Client.BaseAddress!.ToString(), "--model", "tiny", "--requests", "6", loop, value, "--prompt-words", "4", "--max-tokens", "9", "--ignore-eos", "--json", json);

        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        var report = JsonDocument.Parse(await File.ReadAllTextAsync(json)).RootElement.GetProperty("report");
        Assert.Equal(6, report.GetProperty("answered").GetInt32());
        Assert.Equal(6 * 9, report.GetProperty("tokens_per_second").GetDouble() * report.GetProperty("seconds").GetDouble(), 1e-3);
    }

    [Theory]
    [InlineData("localhost:8080")]
    [InlineData("not an address")]
    [InlineData("ftp://127.0.0.1")]
    public async Task What_is_no_address_is_refused_with_a_sentence(string url)
    {
        var result = await ConsoleHost.RunAsync("bench", "serve", "--url", url, "--model", "tiny");

        Assert.Equal(2, result.ExitCode);
        Assert.Contains("must be an http or https address", result.Error);
    }
}
