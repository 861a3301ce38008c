using System.Globalization;
using System.Net;
using System.Text;
using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests.Containers;

/// <summary>A server in a container as an operator runs it: no capability, no writable file, the models mounted to be read.</summary>
internal sealed class RunningContainer : IAsyncDisposable
{
    private readonly string _id;

    private RunningContainer(string id, int port)
    {
        _id = id;
        Client = new HttpClient { BaseAddress = new Uri(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}")), Timeout = TimeSpan.FromSeconds(100) };
    }

    public HttpClient Client { get; }

    public static async Task<RunningContainer> StartAsync(string image, string models)
    {
        int port = FreePort.Find();
        string id = await ContainerEngine.RunAsync("run", "--detach", "--health-interval", "disable", "--network", "host", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "all",
            "--security-opt", "no-new-privileges", "--volume", $"{models}:/models:ro", "--env", string.Create(CultureInfo.InvariantCulture, $"ASPNETCORE_HTTP_PORTS={port}"), image);
        return new RunningContainer(id, port);
    }

    public async Task WaitUntilReadyAsync()
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (!await IsReadyAsync())
        {
            Assert.False(limit.IsCancellationRequested, $"The server was not ready within a minute. It says: {await LogsAsync()}");
            await Task.Delay(20, CancellationToken.None);
        }
    }

    public Task<HttpResponseMessage> PostAsync(string json) => Client.SendAsync(
        new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Content = new StringContent(json, Encoding.UTF8, "application/json") }, HttpCompletionOption.ResponseHeadersRead);

    /// <summary>The exit code of the image's HEALTHCHECK, run in the container.</summary>
    public async Task<int> HealthAsync() => (await ContainerEngine.TryAsync("healthcheck", "run", _id)).Code;

    /// <summary>Memory of the server's process that is in use now.</summary>
    public async Task<long> ResidentBytesAsync()
    {
        string process = await ContainerEngine.RunAsync("inspect", "--format", "{{.State.Pid}}", _id);
        string line = File.ReadLines($"/proc/{process}/status").Single(line => line.StartsWith("VmRSS:", StringComparison.Ordinal));
        return 1024 * long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
    }

    /// <summary>Requests that are computed or wait.</summary>
    public async Task<double> OpenRequestsAsync() => (await Client.GetStringAsync("/metrics")).Split('\n')
        .Where(line => line.StartsWith("vllm:num_requests_running{", StringComparison.Ordinal) || line.StartsWith("vllm:num_requests_waiting{", StringComparison.Ordinal))
        .Sum(line => double.Parse(line[(line.LastIndexOf(' ') + 1)..], CultureInfo.InvariantCulture));

    public Task<string> LogsAsync() => ContainerEngine.RunAsync("logs", _id);

    /// <summary>SIGTERM, patience, SIGKILL; gives the exit code.</summary>
    public async Task<int> StopAsync()
    {
        await ContainerEngine.RunAsync("stop", "--time", "60", _id);
        return int.Parse(await ContainerEngine.RunAsync("inspect", "--format", "{{.State.ExitCode}}", _id), CultureInfo.InvariantCulture);
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await ContainerEngine.TryAsync("rm", "--force", "--time", "0", _id);
    }

    private async Task<bool> IsReadyAsync()
    {
        try
        {
            using var response = await Client.GetAsync("/health/ready");
            return response.StatusCode == HttpStatusCode.OK;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }
}
