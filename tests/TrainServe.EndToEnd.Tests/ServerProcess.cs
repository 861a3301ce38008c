using System.Diagnostics;
using System.Net;
using System.Runtime.InteropServices;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests;

/// <summary>The server as its users run it: a process of its own, reached over HTTP.</summary>
internal sealed partial class ServerProcess : IAsyncDisposable
{
    private readonly Process _process;
    private readonly StringBuilder _output = new();
    private readonly TaskCompletionSource<Uri> _address = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private ServerProcess(Process process)
    {
        _process = process;
        process.OutputDataReceived += (_, line) => Take(line.Data);
        process.ErrorDataReceived += (_, line) => Take(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    public HttpClient Client { get; private set; } = new() { Timeout = TimeSpan.FromSeconds(100) };

    /// <summary>All that it logged.</summary>
    public string Output
    {
        get
        {
            lock (_output)
            {
                return _output.ToString();
            }
        }
    }

    /// <summary>Memory that the process holds.</summary>
    public long ResidentBytes
    {
        get
        {
            _process.Refresh();
            return _process.WorkingSet64;
        }
    }

    /// <summary>Starts it on a free port and waits until it is ready.</summary>
    public static async Task<ServerProcess> StartAsync(string models, params string[] args)
    {
        var server = await StartListeningAsync(models, args);
        await server.UntilReadyAsync();
        return server;
    }

    /// <summary>Starts it on a free port and waits until it listens.</summary>
    public static async Task<ServerProcess> StartListeningAsync(string models, params string[] args)
    {
        var server = Launch(["--urls", "http://127.0.0.1:0", "--models", models, .. args]);
        server.Client.BaseAddress = await server._address.Task.WaitAsync(TimeSpan.FromSeconds(30));
        return server;
    }

    /// <summary>Starts it with its own endpoint and certificate, and waits until it is ready.</summary>
    public static async Task<ServerProcess> StartSecureAsync(string models, X509Certificate2 certificate, params string[] args)
    {
        var server = Launch(["--models", models, .. args]);
#pragma warning disable MA0039 // It asks for exactly the certificate that the test made, which is stricter than the usual check.
        var handler = new HttpClientHandler { ServerCertificateCustomValidationCallback = (_, presented, _, _) => presented?.Thumbprint == certificate.Thumbprint };
#pragma warning restore MA0039
        server.Client = new HttpClient(handler) { BaseAddress = await server._address.Task.WaitAsync(TimeSpan.FromSeconds(60)) };
        await server.UntilReadyAsync();
        return server;
    }

    /// <summary>Starts it and waits until it ends by itself.</summary>
    public static async Task<(int ExitCode, string Output)> RunAsync(params string[] args)
    {
        await using var server = Launch(args);
        await server._process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(30));
        return (server._process.ExitCode, server.Output);
    }

    public void Terminate()
    {
        const int sigterm = 15;
        Assert.Equal(0, Kill(_process.Id, sigterm));
    }

    /// <summary>Ends it without warning.</summary>
    public Task KillAsync()
    {
        _process.Kill();
        return _process.WaitForExitAsync();
    }

    public async Task<int> WaitForExitAsync()
    {
        await _process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(60));
        return _process.ExitCode;
    }

    public Task<HttpResponseMessage> PostAsync(string json, HttpCompletionOption completion = HttpCompletionOption.ResponseContentRead, CancellationToken cancellationToken = default)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Content = new StringContent(json, Encoding.UTF8, "application/json") };
        return Client.SendAsync(request, completion, cancellationToken);
    }

    /// <summary>A whole answer, which has to be a success.</summary>
    public async Task<JsonElement> AnswerAsync(string json)
    {
        using var response = await PostAsync(json);
        string body = await response.Content.ReadAsStringAsync();
        Assert.True(response.StatusCode == HttpStatusCode.OK, body);
        return JsonDocument.Parse(body).RootElement;
    }

    /// <summary>A streamed answer, which has to be a success.</summary>
    public async Task<ServerSentEvents> StreamAsync(string json)
    {
        using var response = await PostAsync(json);
        string body = await response.Content.ReadAsStringAsync();
        Assert.True(response.StatusCode == HttpStatusCode.OK, body);
        return ServerSentEvents.Parse(body);
    }

    /// <summary>Sequences that the model <paramref name="id"/> computes, and those that wait.</summary>
    public async Task<(int Running, int Waiting)> LoadOfAsync(string id)
    {
        var report = JsonDocument.Parse(await Client.GetStringAsync("/health/live")).RootElement;
        var model = report.GetProperty("models").EnumerateArray().Single(item => item.GetProperty("id").GetString() == id);
        return (model.GetProperty("running").GetInt32(), model.GetProperty("waiting").GetInt32());
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        if (!_process.HasExited)
        {
            _process.Kill();
            await _process.WaitForExitAsync();
        }
        _process.Dispose();
    }

    // It may share the machine with much else.
    private async Task UntilReadyAsync()
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(90));
        while ((await Client.GetAsync("/health/ready", limit.Token)).StatusCode != HttpStatusCode.OK)
        {
            await Task.Delay(20, limit.Token);
        }
    }

    /// <summary>The program. The tests' own output is artifacts/bin/NAME/release or debug; the server's lies beside it.</summary>
    public static string ProgramPath { get; } =
        RepositoryRoot.PathOf(Path.Combine("artifacts", "bin", "TrainServe.Server", Path.GetFileName(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory)), "TrainServe.Server.dll"));

    private static ServerProcess Launch(IEnumerable<string> args)
    {
        var start = new ProcessStartInfo("dotnet", [ProgramPath, .. args]) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment.Remove("ASPNETCORE_URLS");
        return new ServerProcess(Process.Start(start)!);
    }

    private void Take(string? line)
    {
        if (line is null)
        {
            return;
        }
        lock (_output)
        {
            _output.AppendLine(line);
        }
        if (Listening().Match(line) is { Success: true } match)
        {
            _address.TrySetResult(new Uri(match.Groups[1].Value));
        }
    }

    [GeneratedRegex("\"Now listening on: (https?://[^\"]+)\"", RegexOptions.NonBacktracking)]
    private static partial Regex Listening();

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int process, int signal);
}
