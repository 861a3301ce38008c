using System.Net;
using System.Runtime.CompilerServices;
using TrainServe.Inference;
using TrainServe.TestSupport;

namespace TrainServe.Server.Tests.Http;

public sealed class HealthTests
{
    [Fact]
    public async Task The_server_is_alive_at_once_and_ready_when_its_models_are_loaded()
    {
        var loaded = new TaskCompletionSource();
        await using var server = await TestServer.StartListeningAsync(async directory =>
        {
            await loaded.Task;
            return TestServer.MakeModel(directory, ScriptedEngine.Saying('h'));
        });
        Assert.Equal(HttpStatusCode.OK, (await server.Client.GetAsync("/health/live")).StatusCode);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await server.Client.GetAsync("/health/ready")).StatusCode);
        using var early = await server.ChatAsync();
        Assert.Equal(HttpStatusCode.ServiceUnavailable, early.StatusCode);
        Assert.NotNull(early.Headers.RetryAfter);
        await Envelope.AssertAsync(early, "server_error", null, null);
        loaded.SetResult();
        await Eventually.AssertAsync(async () => (await server.Client.GetAsync("/health/ready")).IsSuccessStatusCode);
        Assert.Equal("""{"status":"ready","models":[{"id":"tiny","precision":"fp32","slots":8,"running":0,"waiting":0}]}""", await server.Client.GetStringAsync("/health/ready"));
        using var answer = await server.ChatAsync();
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
    }

    [Fact]
    public async Task Work_that_does_not_move_is_not_alive_but_a_long_prompt_is()
    {
        var go = new TaskCompletionSource();
        var engine = new ScriptedEngine { Script = (_, token) => Wait(go.Task, token), SinceProgress = TimeSpan.FromSeconds(59) };
        await using var server = await TestServer.StartAsync(engine);
        var request = server.ChatAsync();
        await Eventually.AssertAsync(() => engine.Running == 1);
        Assert.Equal(HttpStatusCode.OK, (await server.Client.GetAsync("/health/live")).StatusCode);
        engine.SinceProgress = TimeSpan.FromSeconds(61);
        using var live = await server.Client.GetAsync("/health/live");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, live.StatusCode);
        Assert.Contains("stalled", await live.Content.ReadAsStringAsync());
        go.SetResult();
        (await request).Dispose();
        Assert.Equal(HttpStatusCode.OK, (await server.Client.GetAsync("/health/live")).StatusCode);
    }

    [Fact]
    public async Task A_dead_engine_makes_the_server_unready_until_a_new_one_is_loaded()
    {
        var engines = new List<ScriptedEngine>();
        await using var server = await TestServer.StartListeningAsync(directory =>
        {
            engines.Add(ScriptedEngine.Saying('h'));
            return Task.FromResult(TestServer.MakeModel(directory, engines[^1]));
        });
        await Eventually.AssertAsync(async () => (await server.Client.GetAsync("/health/ready")).IsSuccessStatusCode);
        engines[0].Fault = "out of memory";
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await server.Client.GetAsync("/health/ready")).StatusCode);
        await Eventually.AssertAsync(async () => (await server.Client.GetAsync("/health/ready")).IsSuccessStatusCode);
        Assert.Equal(2, engines.Count);
        Assert.True(engines[0].IsDisposed);
        (await server.ChatAsync()).Dispose();
        Assert.Single(engines[1].Requests);
    }

    private static async IAsyncEnumerable<GeneratedToken> Wait(Task go, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await go.WaitAsync(cancellationToken);
        yield return ScriptedEngine.Token('h', FinishReason.Length);
    }
}
