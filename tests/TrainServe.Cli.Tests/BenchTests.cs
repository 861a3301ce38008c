using System.Net;
using System.Text;
using System.Text.Json;
using TrainServe.Cli.Benchmarks;
using TrainServe.Core;
using TrainServe.TestSupport;

namespace TrainServe.Cli.Tests;

public sealed class BenchTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task A_closed_loop_keeps_as_many_requests_in_flight_as_it_was_told()
    {
        using var server = new FakeServer();
        var plan = Plan() with { Requests = 12, Concurrency = 3 };

        var run = await RunAsync(plan, server);

        Assert.Equal((12, 3), (server.Requests.Count, server.MostAtOnce));
        var report = LoadReport.Of(plan, run);
        Assert.Equal((12, 12 * 20, 12 * 8), (report.Answered, report.PromptTokens, report.CachedPromptTokens));
        Assert.Equal(12 * 3 / report.Seconds, report.TokensPerSecond, 1e-6);
        Assert.All(run.Samples, sample => Assert.Equal(2, sample.Gaps.Count));
        Assert.True(report.Ttft.P50 <= report.EndToEnd.P50);
    }

    [Fact]
    public async Task An_open_loop_counts_from_when_a_request_was_due()
    {
        // All are due at once, the server takes one at a time, so the last one waits for all others.
        using var server = new FakeServer(oneAtATime: true);
        var plan = Plan() with { Requests = 5, RequestsPerSecond = 1_000_000 };

        var run = await RunAsync(plan, server);

        var waits = run.Samples.Select(sample => sample.FirstToken.TotalMilliseconds).Order().ToList();
        Assert.True(waits[4] > 2.5 * waits[0], string.Join(", ", waits));
        Assert.InRange(LoadReport.Of(plan with { FirstTokenObjective = TimeSpan.FromMilliseconds((waits[0] + waits[4]) / 2) }, run).GoodPart, 0.2, 0.8);
    }

    [Fact]
    public async Task Prompts_share_what_they_are_told_to_share_and_are_the_same_for_the_same_seed()
    {
        using FakeServer first = new(), second = new();
        var plan = Plan() with { Requests = 3, Concurrency = 1, SharedWords = 7 };
        await RunAsync(plan, first);
        await RunAsync(plan, second);

        Assert.Equal(first.Requests, second.Requests);
        var messages = first.Requests.Select(request => JsonDocument.Parse(request).RootElement.GetProperty("messages")).ToList();
        Assert.Single(messages.Select(list => list[0].GetProperty("content").GetString()).Distinct());
        Assert.Equal(3, messages.Select(list => list[1].GetProperty("content").GetString()).Distinct().Count());
        Assert.Equal(7, messages[0][0].GetProperty("content").GetString()!.Split(' ').Length);
    }

    [Fact]
    public async Task Failures_are_counted_by_kind_and_never_as_answers()
    {
        using var server = new FakeServer(status: request => request % 3 == 0 ? HttpStatusCode.ServiceUnavailable : HttpStatusCode.OK, cut: request => request % 3 == 1);
        var plan = Plan() with { Requests = 6, Concurrency = 1 };

        var report = LoadReport.Of(plan, await RunAsync(plan, server));

        Assert.Equal(2, report.Answered);
        Assert.Equal([("a stream without its end", 2), ("status 503", 2)], report.Failures.Select(pair => (pair.Key, pair.Value)).Order());
    }

    [Fact]
    public void Percentiles_are_values_that_occurred()
    {
        var percentiles = Percentiles.Of(Enumerable.Range(1, 200).Select(i => TimeSpan.FromMilliseconds(i)));

        Assert.Equal(new Percentiles(100, 180, 198, 200), percentiles);
        Assert.Equal(new Percentiles(0, 0, 0, 0), Percentiles.Of([]));
    }

    [Fact]
    public void A_plan_that_makes_no_sense_is_refused()
    {
        Assert.Throws<RecipeException>(() => (Plan() with { Requests = 0 }).Validated());
        Assert.Throws<RecipeException>(() => (Plan() with { RequestsPerSecond = 0 }).Validated());
        Assert.Throws<RecipeException>(() => (Plan() with { Url = new Uri("ftp://host") }).Validated());
    }

    [Fact]
    public async Task The_engine_is_measured_at_every_precision_against_the_first()
    {
        string model = TinyPackages.Write(_directory.PathOf("model"), TinyModels.Config(TinyPackages.VocabSize, hiddenSize: 64, maxPositions: 128)).Directory, json = _directory.PathOf("figures.json");
        Assert.Equal(0, (await ConsoleHost.RunAsync("export", "--model", model, "--precision", "fp32", "int8", "--max-perplexity-increase", "100")).ExitCode);

        var result = await ConsoleHost.RunAsync("bench", "engine", "--model", model, "--prompt", "64", "--steps", "8", "--rounds", "2", "--batch", "1", "3", "--json", json);

        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        var figures = JsonDocument.Parse(await File.ReadAllTextAsync(json)).RootElement.GetProperty("results").EnumerateArray().ToList();
        Assert.Equal(2 * 5, figures.Count);
        Assert.All(figures, figure => Assert.True(figure.GetProperty("tokens_per_second").GetDouble() > 0 && figure.GetProperty("ratio").GetDouble() > 0, figure.ToString()));
        Assert.All(figures.Where(figure => figure.GetProperty("precision").GetString() == "fp32" && !figure.GetProperty("measurement").GetString()!.StartsWith("engine", StringComparison.Ordinal)), figure => Assert.Equal(1, figure.GetProperty("ratio").GetDouble()));
        Assert.Equal(2, (await ConsoleHost.RunAsync("bench", "engine", "--model", model, "--prompt", "128")).ExitCode);
    }

    [Fact]
    public async Task The_load_of_a_server_can_go_to_an_engine_instead()
    {
        string model = TinyPackages.Write(_directory.PathOf("model"), TinyModels.Config(TinyPackages.VocabSize, maxPositions: 128)).Directory, json = _directory.PathOf("figures.json");
        Assert.Equal(0, (await ConsoleHost.RunAsync("export", "--model", model)).ExitCode);

        var result = await ConsoleHost.RunAsync("bench", "serve", "--engine", model, "--requests", "5", "--concurrency", "2", "--prompt-words", "4", "--max-tokens", "7", "--ignore-eos", "--json", json);

        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        var report = JsonDocument.Parse(await File.ReadAllTextAsync(json)).RootElement.GetProperty("report");
        Assert.Equal(5, report.GetProperty("answered").GetInt32());
        Assert.Equal(5 * 7, report.GetProperty("tokens_per_second").GetDouble() * report.GetProperty("seconds").GetDouble(), 1e-3);
        Assert.Equal(2, (await ConsoleHost.RunAsync("bench", "serve")).ExitCode);
    }

    [Fact]
    public async Task Random_weights_can_have_a_tokenizer_of_another_model()
    {
        string config = _directory.PathOf("config.json"), text = _directory.WriteText("text.txt", string.Concat(Enumerable.Range(0, 500).Select(i => $"number {i} and ")));
        TinyModels.Config(400).Write(config);
        Assert.Equal(0, (await ConsoleHost.RunAsync("tokenizer", "train", "--input", text, "--vocab-size", "300", "--output", _directory.PathOf("tokenizer"))).ExitCode);

        var result = await ConsoleHost.RunAsync("init", "--config", config, "--output", _directory.PathOf("model"), "--tokenizer", _directory.PathOf("tokenizer"));

        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.Equal(await File.ReadAllBytesAsync(_directory.PathOf("tokenizer/tokenizer.json")), await File.ReadAllBytesAsync(_directory.PathOf("model/tokenizer.json")));
    }

    [Fact]
    public async Task Masks_are_timed_over_texts_that_fit_and_over_made_up_ones()
    {
        SmallTokenizers.Write(_directory.FullName);
        string schemas = _directory.WriteText("schemas.jsonl", """
            {"schema":{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}},"required":["a","b"],"additionalProperties":false},"tests":[{"valid":true,"data":{"a":1,"b":"x"}},{"valid":true,"data":{"b":"x","a":1}},{"valid":false,"data":5}]}
            {"schema":{"type":"string","maxLength":5},"tests":[]}
            {"schema":{"not":{"type":"string"}},"tests":[]}
            """);
        string json = _directory.PathOf("masks.json");

        var result = await ConsoleHost.RunAsync("bench", "masks", "--tokenizer", _directory.FullName, "--schemas", schemas, "--json", json, "--max-tokens", "50");

        Assert.True(result.ExitCode == 0, result.Error);
        using var report = JsonDocument.Parse(await File.ReadAllTextAsync(json));
        // Two texts of the first schema, one of them with its keys in another order, and one that is made up for the second; the third schema cannot be kept to.
        Assert.Equal((3, 2, 3, 1), (Number("schemas"), Number("accepted"), Number("answers"), Number("left")));
        Assert.InRange(Number("tokens"), 5, 100);
        Assert.InRange(report.RootElement.GetProperty("token").GetProperty("p50").GetDouble(), 0.01, 1e6);

        int Number(string name) => report.RootElement.GetProperty(name).GetInt32();
    }

    private static LoadPlan Plan() => new() { Url = new Uri("http://server"), Model = "tiny" };

    private static async Task<(IReadOnlyList<LoadSample> Samples, TimeSpan Elapsed)> RunAsync(LoadPlan plan, FakeServer server)
    {
        using var target = new HttpLoadTarget(plan.Validated(), apiKey: null, server);
        return await new LoadGenerator(plan, target).RunAsync(CancellationToken.None);
    }

    /// <summary>Answers with three words after a moment.</summary>
    private sealed class FakeServer(bool oneAtATime = false, Func<int, HttpStatusCode>? status = null, Func<int, bool>? cut = null) : HttpMessageHandler
    {
        private readonly SemaphoreSlim _turn = new(1);
        private int _atOnce;

        public List<string> Requests { get; } = [];
        public int MostAtOnce { get; private set; }

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            string body = await request.Content!.ReadAsStringAsync(cancellationToken);
            int number;
            lock (Requests)
            {
                number = Requests.Count;
                Requests.Add(body);
                MostAtOnce = Math.Max(MostAtOnce, ++_atOnce);
            }
            if (oneAtATime)
            {
                await _turn.WaitAsync(cancellationToken);
            }
            await Task.Delay(60, cancellationToken);
            if (oneAtATime)
            {
                _turn.Release();
            }
            lock (Requests)
            {
                _atOnce--;
            }
            var text = new StringBuilder();
            foreach (string word in new[] { "once", "upon", "time" })
            {
                text.Append($"data: {{\"choices\":[{{\"delta\":{{\"content\":\"{word}\"}}}}]}}\n\n");
            }
            text.Append("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":3,\"prompt_tokens_details\":{\"cached_tokens\":8}}}\n\n");
            text.Append(cut?.Invoke(number) == true ? "" : "data: [DONE]\n\n");
            return new HttpResponseMessage(status?.Invoke(number) ?? HttpStatusCode.OK) { Content = new StringContent(text.ToString(), Encoding.UTF8, "text/event-stream") };
        }

        protected override void Dispose(bool disposing)
        {
            _turn.Dispose();
            base.Dispose(disposing);
        }
    }
}
