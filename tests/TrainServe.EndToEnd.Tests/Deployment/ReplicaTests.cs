using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests.Deployment;

/// <summary>Two servers behind one proxy.</summary>
[Trait("Category", "Slow")]
public sealed class ReplicaTests : IDisposable
{
    private const int Streams = 8;
    private const string Request = """{"model":"tiny","messages":[{"role":"user","content":"hello"}],"seed":1,"ignore_eos":true,"stream":true,"max_tokens":6000}""";
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData("haproxy")]
    [InlineData("nginx")]
    public async Task When_a_replica_dies_only_its_own_streams_break_and_the_clients_retry_succeeds(string proxyKind)
    {
        ModelDirectory.Tiny(_directory.PathOf("models/tiny"));
        await using var survivor = await ServerProcess.StartAsync(_directory.PathOf("models"), "--threads", "1");
        await using var victim = await ServerProcess.StartAsync(_directory.PathOf("models"), "--threads", "1");
        await using var proxy = await ProxyProcess.StartAsync(proxyKind, [survivor.Client.BaseAddress!, victim.Client.BaseAddress!], _directory);

        var responses = await Task.WhenAll(Enumerable.Range(0, Streams).Select(_ => proxy.PostAsync(Request)));
        Assert.All(responses, response => Assert.True(response.IsSuccessStatusCode));
        var streams = await Task.WhenAll(responses.Select(response => response.Content.ReadAsStreamAsync()));
        // The proxy holds nothing back: tokens are here while both still compute.
        foreach (var stream in streams)
        {
            Assert.NotEqual(0, await stream.ReadAsync(new byte[1]));
        }
        var (lost, _) = await victim.LoadOfAsync("tiny");
        Assert.InRange(lost, 1, Streams - 1);

        await victim.KillAsync();
        bool[] whole = await Task.WhenAll(streams.Select(EndsWellAsync));
        Assert.Equal(lost, whole.Count(isWhole => !isWhole));

        for (int retry = 0; retry < lost; retry++)
        {
            using var response = await proxy.PostAsync(Request.Replace("6000", "20", StringComparison.Ordinal));
            Assert.True(response.IsSuccessStatusCode);
            Assert.True(await EndsWellAsync(await response.Content.ReadAsStreamAsync()));
        }
        Array.ForEach(responses, response => response.Dispose());
    }

    [Theory]
    [InlineData("haproxy")]
    [InlineData("nginx")]
    public async Task A_keys_limit_in_Redis_holds_over_both_replicas(string proxyKind)
    {
        const int limit = 12;
        using var redis = await RedisServer.StartAsync();
        ModelDirectory.Tiny(_directory.PathOf("models/tiny"));
        string[] settings = ["--threads", "1", "--redis", redis.Configuration, "--TrainServe:Keys:0:Name=ann", $"--TrainServe:Keys:0:Sha256={Convert.ToHexString(SHA256.HashData("ann-secret"u8))}",
            string.Create(CultureInfo.InvariantCulture, $"--TrainServe:Keys:0:RequestsPerMinute={limit}")];
        await using var one = await ServerProcess.StartAsync(_directory.PathOf("models"), settings);
        await using var other = await ServerProcess.StartAsync(_directory.PathOf("models"), settings);
        await using var proxy = await ProxyProcess.StartAsync(proxyKind, [one.Client.BaseAddress!, other.Client.BaseAddress!], _directory);
        foreach (var client in (HttpClient[])[proxy.Client, one.Client, other.Client])
        {
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "ann-secret");
        }
        var watch = Stopwatch.StartNew();
        int allowed = 0;
        for (int i = 0; i < 2 * limit; i++)
        {
            using var response = await proxy.PostAsync("""{"model":"tiny","messages":[{"role":"user","content":"hello"}],"max_tokens":2}""");
            allowed += response.IsSuccessStatusCode ? 1 : 0;
            Assert.Contains(response.StatusCode, new[] { HttpStatusCode.OK, HttpStatusCode.TooManyRequests });
            Assert.Equal(response.IsSuccessStatusCode, response.Headers.RetryAfter is null);
        }
        // A minute's worth, and what flowed in meanwhile; two servers that count for themselves would let twice as many through.
        Assert.InRange(allowed, limit, limit + 1 + (int)(watch.Elapsed.TotalMinutes * limit));
        Assert.True(allowed < 2 * limit, $"{allowed} were allowed in {watch.Elapsed}");
        int[] answered = [await AnsweredAsync(one), await AnsweredAsync(other)];
        Assert.Equal(allowed, answered.Sum());
        Assert.All(answered, count => Assert.InRange(count, 1, limit));
    }

    private static async Task<int> AnsweredAsync(ServerProcess server) => (await server.Client.GetStringAsync("/metrics")).Split('\n')
        .Where(line => line.StartsWith("vllm:request_success_total{", StringComparison.Ordinal)).Sum(line => int.Parse(line[(line.LastIndexOf(' ') + 1)..], CultureInfo.InvariantCulture));

    // A stream is whole when its last event says so; a broken one ends without, or with a fault of the connection.
    private static async Task<bool> EndsWellAsync(Stream stream)
    {
        using var reader = new StreamReader(stream);
        try
        {
            return (await reader.ReadToEndAsync()).TrimEnd().EndsWith("data: [DONE]", StringComparison.Ordinal);
        }
        catch (Exception fault) when (fault is IOException or HttpRequestException)
        {
            return false;
        }
    }
}
