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
