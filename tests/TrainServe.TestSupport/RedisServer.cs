using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Xunit;

namespace TrainServe.TestSupport;

/// <summary>A Redis of the test's own, on a free port.</summary>
public sealed class RedisServer : IDisposable
{
    private readonly Process _process;

    private RedisServer(Process process, int port) => (_process, Configuration) = (process, $"127.0.0.1:{port},connectTimeout=500");

    /// <summary>As the server's option Redis takes it.</summary>
    public string Configuration { get; }

    /// <summary>Starts one, or the running test is skipped.</summary>
    public static async Task<RedisServer> StartAsync()
    {
        string? program = Environment.GetEnvironmentVariable("PATH")!.Split(Path.PathSeparator).Select(folder => Path.Combine(folder, "redis-server")).FirstOrDefault(File.Exists);
        Assert.SkipWhen(program is null, "This test needs redis-server, which is not installed.");
        int port = FreePort.Find();
        var process = Process.Start(new ProcessStartInfo(program!, ["--port", $"{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]) { UseShellExecute = false, RedirectStandardOutput = true })!;
        var server = new RedisServer(process, port);
        await Eventually.AssertAsync(async () =>
        {
            using var client = new TcpClient();
            try
            {
                await client.ConnectAsync(IPAddress.Loopback, port);
                return true;
            }
            catch (SocketException)
            {
                return false;
            }
        });
        return server;
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            _process.WaitForExit();
        }
    }
}
