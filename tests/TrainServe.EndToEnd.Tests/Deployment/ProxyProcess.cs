using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text;
using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests.Deployment;

/// <summary>A real proxy with the configuration that we ship, of which only the addresses are replaced.</summary>
internal sealed class ProxyProcess : IAsyncDisposable
{
    private readonly Process _process;

    private ProxyProcess(Process process, int port)
    {
        _process = process;
        Client = new HttpClient { BaseAddress = new Uri(string.Create(CultureInfo.InvariantCulture, $"http://localhost:{port}")), Timeout = TimeSpan.FromSeconds(100) };
    }

    public HttpClient Client { get; }

    /// <param name="kind">haproxy or nginx; the test is skipped where it is not installed.</param>
    /// <param name="replicas">Where the two servers listen.</param>
    /// <param name="directory">For the configuration.</param>
    public static async Task<ProxyProcess> StartAsync(string kind, IReadOnlyList<Uri> replicas, TemporaryDirectory directory)
    {
        string? program = new[] { "/usr/sbin", "/usr/bin", "/usr/local/sbin" }.Select(folder => Path.Combine(folder, kind)).FirstOrDefault(File.Exists);
        Assert.SkipWhen(program is null, $"{kind} is not installed");
        string name = kind == "nginx" ? "nginx.conf" : "haproxy.cfg";
        int port = FreePort.Find();
        string configuration = Replace(File.ReadAllText(RepositoryRoot.PathOf(Path.Combine("deploy", "proxies", name))), "127.0.0.1:8000", port);
        configuration = Replace(configuration, "127.0.0.1:8081", replicas[0].Port);
        configuration = Replace(configuration, "127.0.0.1:8082", replicas[1].Port);
        string file = directory.WriteText(name, configuration);
        string[] args = kind == "nginx" ? ["-c", file, "-g", $"daemon off; pid {directory.PathOf("nginx.pid")};", "-e", directory.PathOf("nginx.log")] : ["-f", file, "-db"];
        var proxy = new ProxyProcess(Process.Start(new ProcessStartInfo(program, args) { UseShellExecute = false })!, port);
        await Eventually.AssertAsync(proxy.AnswersAsync);
        return proxy;
    }

    public Task<HttpResponseMessage> PostAsync(string json) => Client.SendAsync(
        new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Content = new StringContent(json, Encoding.UTF8, "application/json") }, HttpCompletionOption.ResponseHeadersRead);

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync();
        _process.Dispose();
    }

    private async Task<bool> AnswersAsync()
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

    private static string Replace(string text, string address, int port)
    {
        Assert.Contains(address, text, StringComparison.Ordinal);
        return text.Replace(address, string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{port}"), StringComparison.Ordinal);
    }
}
