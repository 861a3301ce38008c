using System.ClientModel;
using System.ClientModel.Primitives;
using Anthropic;
using Microsoft.Extensions.AI;
using OpenAI;
using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests;

/// <summary>What the official clients make of a server that keeps them waiting and then breaks their streams.</summary>
public sealed class StreamSdkTests(NodePackages packages) : IClassFixture<NodePackages>, IDisposable
{
    private const string Occupant = """{"model":"tiny","messages":[{"role":"user","content":"hello"}],"seed":1,"n":4,"ignore_eos":true,"stream":true}""";
    private readonly TemporaryDirectory _models = new();

    public void Dispose() => _models.Dispose();

    [Fact]
    public Task Clients_for_Node_pass_over_signs_of_life_and_report_a_stream_that_breaks()
    {
        packages.Require();
        return RunAsync(clients: 3, async server =>
        {
            var (exitCode, output) = await NodePackages.RunAsync("node", ["streams.mjs", server.Client.BaseAddress!.ToString().TrimEnd('/')]);
            Assert.True(exitCode == 0, output);
        });
    }

    [Fact]
    public Task Clients_for_NET_pass_over_signs_of_life_and_report_a_stream_that_breaks() => RunAsync(clients: 2, async server =>
    {
        using var openai = new OpenAI.Chat.ChatClient("tiny", new ApiKeyCredential("none"), new OpenAIClientOptions { Endpoint = new Uri(server.Client.BaseAddress!, "v1"), RetryPolicy = new ClientRetryPolicy(0) }).AsIChatClient();
        using var anthropic = new AnthropicClient { ApiKey = "none", BaseUrl = server.Client.BaseAddress!.ToString().TrimEnd('/'), MaxRetries = 0 }.AsIChatClient("tiny", 100);
        Assert.All(await Task.WhenAll(ReadAsync(openai, 20), ReadAsync(anthropic, 20)), Assert.NotEmpty);
        // Either says that the stream failed; only Anthropic's repeats why.
        var broken = Assert.ThrowsAnyAsync<Exception>(() => ReadAsync(openai, 8000));
        Assert.Contains("shutting down", (await Assert.ThrowsAnyAsync<Exception>(() => ReadAsync(anthropic, 8000))).ToString(), StringComparison.Ordinal);
        await broken;
    });

    private static async Task<string> ReadAsync(IChatClient client, int mostTokens)
    {
        string text = "";
        await foreach (var update in client.GetStreamingResponseAsync("hello", new ChatOptions { MaxOutputTokens = mostTokens, Temperature = 0 }))
        {
            text += update.Text;
        }
        return text;
    }

    /// <summary>Fills every slot, so that the clients' first requests wait; frees them; stops the server when the second ones are answered.</summary>
    private async Task RunAsync(int clients, Func<ServerProcess, Task> useClients)
    {
        ModelDirectory.Endless(_models.PathOf("tiny"));
        await using var server = await ServerProcess.StartAsync(_models.FullName, "--threads", "1", "--slots", "4", "--ping-seconds", "0.1", "--drain-seconds", "0.3");
        using var leave = new CancellationTokenSource();
        var occupied = server.PostAsync(Occupant, cancellationToken: leave.Token);
        await Eventually.AssertAsync(async () => await server.LoadOfAsync("tiny") == (4, 0));
        var used = useClients(server);
        await UntilAsync(used, async () => await server.LoadOfAsync("tiny") == (4, clients));
        await Task.Delay(TimeSpan.FromSeconds(0.5), TestContext.Current.CancellationToken);
        await leave.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => occupied);
        await UntilAsync(used, async () => await GeneratedAsync(server) >= clients && await server.LoadOfAsync("tiny") == (clients, 0));
        await Task.Delay(TimeSpan.FromSeconds(0.3), TestContext.Current.CancellationToken);
        server.Terminate();
        await used;
        Assert.Equal(0, await server.WaitForExitAsync());
    }

    // Node needs seconds to start on a busy machine.
    private static async Task UntilAsync(Task used, Func<Task<bool>> holds)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (!await holds())
        {
            if (used.IsCompleted)
            {
                await used;
            }
            Assert.False(used.IsCompleted || limit.IsCancellationRequested, "The clients did not do what they were to do.");
            await Task.Delay(20, CancellationToken.None);
        }
    }

    /// <summary>Answers that came to their end.</summary>
    private static async Task<int> GeneratedAsync(ServerProcess server) => (await server.Client.GetStringAsync("/metrics")).Split('\n')
        .Where(line => line.StartsWith("vllm:request_success_total{", StringComparison.Ordinal))
        .Sum(line => int.Parse(line.Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture));
}
