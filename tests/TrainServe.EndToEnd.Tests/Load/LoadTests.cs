using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests.Load;

/// <summary>What a server process bears: it neither breaks, nor hangs, nor keeps memory.</summary>
[Trait("Category", "Slow")]
public sealed class LoadTests : IDisposable
{
    private readonly TemporaryDirectory _models = new();

    public void Dispose() => _models.Dispose();

    [Fact]
    public async Task Twenty_thousand_requests_right_and_wrong_break_nothing_and_leave_nothing_behind()
    {
        const int warmUp = 4000, all = 20_000;
        ModelDirectory.Tiny(_models.PathOf("tiny"), contextLength: 256);
        ModelDirectory.TinyReward(_models.PathOf("judge"));
        await using var server = await ServerProcess.StartAsync(_models.FullName, "--threads", "1", "--Logging:LogLevel:Default=Warning");
        var mutator = new RequestMutator(seed: 1);
        var statuses = new ConcurrentDictionary<int, int>();
        await SendAsync(server, mutator, warmUp, statuses);
        long before = await RestingBytesAsync(server);
        await SendAsync(server, mutator, all - warmUp, statuses);
        long after = await RestingBytesAsync(server);
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{string.Join(", ", statuses.OrderBy(pair => pair.Key).Select(pair => $"{pair.Value} times {pair.Key}"))}; resident {before >> 20} MiB after {warmUp}, {after >> 20} MiB after {all}");
        Assert.True(statuses[200] > all / 5 && statuses[400] > all / 5, "Too few were right, or too few wrong.");
        Assert.True(after < before + (48L << 20), $"{before >> 20} MiB became {after >> 20} MiB.");
        Assert.Equal(HttpStatusCode.OK, (await server.Client.GetAsync("/health/live")).StatusCode);
        Assert.DoesNotContain("\"LogLevel\":\"Error\"", server.Output);
    }

    [Fact]
    public async Task Two_hundred_slow_readers_cost_little_memory()
    {
        const int streams = 200;
        ModelDirectory.Endless(_models.PathOf("tiny"));
        await using var server = await ServerProcess.StartAsync(_models.FullName, "--threads", "1", "--Logging:LogLevel:Default=Warning");
        await server.StreamAsync(Body(2000));
        long before = await RestingBytesAsync(server), peak = before;
        var readers = Enumerable.Range(0, streams).Select(_ => ReadSlowlyAsync(server)).ToArray();
        var all = Task.WhenAll(readers);
        while (!all.IsCompleted)
        {
            peak = Math.Max(peak, server.ResidentBytes);
            await Task.WhenAny(all, Task.Delay(100, CancellationToken.None));
        }
        Assert.All(await all, text => Assert.EndsWith("data: [DONE]\n\n", text));
        long cost = peak - before;
        TestContext.Current.TestOutputHelper?.WriteLine($"{streams} streams of 500 tokens: resident {before >> 20} MiB before, at most {peak >> 20} MiB, so {cost >> 20} MiB");
        Assert.InRange(cost, long.MinValue, 150L << 20);

        static string Body(int tokens) => $$"""{"model":"tiny","messages":[{"role":"user","content":"hello"}],"max_tokens":{{tokens}},"ignore_eos":true,"stream":true}""";

        // Forty kilobytes a second: the answer waits in the server.
        static async Task<string> ReadSlowlyAsync(ServerProcess server)
        {
            using var response = await server.PostAsync(Body(500), HttpCompletionOption.ResponseHeadersRead);
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            await using var stream = await response.Content.ReadAsStreamAsync();
            var text = new StringBuilder();
            byte[] piece = new byte[2048];
            while (await stream.ReadAsync(piece) is > 0 and var read)
            {
                text.Append(Encoding.UTF8.GetString(piece, 0, read));
                await Task.Delay(50, CancellationToken.None);
            }
            return text.ToString();
        }
    }

    private static async Task SendAsync(ServerProcess server, RequestMutator mutator, int count, ConcurrentDictionary<int, int> statuses)
    {
        int left = count;
        await Task.WhenAll(Enumerable.Range(0, 16).Select(async worker =>
        {
            while (Interlocked.Decrement(ref left) >= 0)
            {
                (string Path, byte[] Body) request;
                lock (mutator)
                {
                    request = mutator.Next();
                }
                int status = await SendAsync(server, request.Path, request.Body);
                statuses.AddOrUpdate(status, 1, (_, seen) => seen + 1);
            }
        }));
    }

    private static async Task<int> SendAsync(ServerProcess server, string path, byte[] body)
    {
        string shown = $"{path} {Encoding.UTF8.GetString(body)}";
        using var content = new ByteArrayContent(body);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        string text;
        HttpResponseMessage response;
        try
        {
            response = await server.Client.PostAsync(path, content);
            text = await response.Content.ReadAsStringAsync();
        }
        catch (Exception error) when (error is HttpRequestException or OperationCanceledException or IOException)
        {
            throw new InvalidOperationException($"No whole answer to {shown}", error);
        }
        using (response)
        {
            switch (response.StatusCode)
            {
                case HttpStatusCode.OK:
                    bool stream = response.Content.Headers.ContentType?.MediaType == "text/event-stream";
                    Assert.True(!stream || text.EndsWith("data: [DONE]\n\n", StringComparison.Ordinal) || text.Contains("event: message_stop\n", StringComparison.Ordinal)
                        || text.Contains("event: response.completed\n", StringComparison.Ordinal) || text.Contains("event: response.incomplete\n", StringComparison.Ordinal), $"A stream without its end for {shown}: {text}");
                    break;
                case HttpStatusCode.BadRequest or HttpStatusCode.NotFound:
                    Assert.Matches("\"type\":\"(invalid_request_error|not_found_error)\"", text);
                    break;
                case HttpStatusCode.ServiceUnavailable or (HttpStatusCode)529:
                    Assert.True(response.Headers.RetryAfter is not null, shown);
                    break;
                default:
                    Assert.Fail($"{(int)response.StatusCode} for {shown}: {text}");
                    break;
            }
            return (int)response.StatusCode;
        }
    }

    /// <summary>The least of some seconds: what is only waiting to be collected goes away.</summary>
    private static async Task<long> RestingBytesAsync(ServerProcess server)
    {
        await Eventually.AssertAsync(async () => await server.LoadOfAsync("tiny") == (0, 0));
        long least = long.MaxValue;
        for (int i = 0; i < 30; i++)
        {
            await Task.Delay(100, CancellationToken.None);
            least = Math.Min(least, server.ResidentBytes);
        }
        return least;
    }
}
