using System.Diagnostics;
using System.Globalization;
using Xunit;

namespace TrainServe.TestSupport;

/// <summary>A PostgreSQL server of the test's own, on a free port.</summary>
public sealed class PostgresServer : IAsyncDisposable
{
    private readonly TemporaryDirectory _directory;
    private readonly Process _process;

    private PostgresServer(TemporaryDirectory directory, Process process, string connection) => (_directory, _process, Connection) = (directory, process, connection);

    /// <summary>A connection string.</summary>
    public string Connection { get; }

    /// <summary>Starts one, or the running test is skipped.</summary>
    public static async Task<PostgresServer> StartAsync()
    {
        string? programs = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
            .Concat(Directory.Exists("/usr/lib/postgresql") ? Directory.GetDirectories("/usr/lib/postgresql").Select(version => Path.Combine(version, "bin")) : [])
            .FirstOrDefault(folder => new[] { "initdb", "postgres", "pg_isready" }.All(program => File.Exists(Path.Combine(folder, program))));
        Assert.SkipWhen(programs is null, "This test needs PostgreSQL, which is not installed.");
        var directory = new TemporaryDirectory();
        // It does not run as root, and Debian's package brings a user for it.
        string[] asUser = [];
        if (Environment.IsPrivilegedProcess)
        {
            Assert.SkipUnless(await RunAsync(["chown", "postgres", directory.FullName]) == 0, "This test runs PostgreSQL as its user postgres, which does not exist.");
            asUser = ["runuser", "-u", "postgres", "--"];
        }
        string data = directory.PathOf("data");
        Assert.Equal(0, await RunAsync([.. asUser, Path.Combine(programs, "initdb"), "--pgdata", data, "--username", "trainserve", "--auth", "trust", "--encoding", "UTF8", "--no-sync"]));
        string port = FreePort.Find().ToString(CultureInfo.InvariantCulture);
        var process = Start([.. asUser, Path.Combine(programs, "postgres"), "-D", data, "-p", port, "-h", "127.0.0.1", "-k", "", "-c", "fsync=off"]);
        var server = new PostgresServer(directory, process, $"Host=127.0.0.1;Port={port};Username=trainserve;Database=postgres");
        await Eventually.AssertAsync(async () => await RunAsync([Path.Combine(programs, "pg_isready"), "--quiet", "--host", "127.0.0.1", "--port", port]) == 0);
        return server;
    }

    public async ValueTask DisposeAsync()
    {
        _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync();
        _process.Dispose();
        _directory.Dispose();
    }

    private static async Task<int> RunAsync(string[] command)
    {
        using var process = Start(command);
        await process.WaitForExitAsync();
        return process.ExitCode;
    }

    private static Process Start(string[] command)
    {
        var process = Process.Start(new ProcessStartInfo(command[0], command[1..]) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = "/" })!;
        process.OutputDataReceived += (_, _) => { };
        process.ErrorDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return process;
    }
}
