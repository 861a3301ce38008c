using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace TrainServe.Cli.Quickstart;

/// <summary>The server as a process of its own.</summary>
internal static partial class ServerProcess
{
    private const int SigTerm = 15;
    public const int DefaultPort = 8080;
    private const string Program = "TrainServe.Server.dll";

    /// <summary>What starts it, as one would type it.</summary>
    public static string CommandLine(string models, int port) => $"dotnet {Find() ?? Program} --models {models}{(port == DefaultPort ? "" : $" --urls {Url(port)}")}";

    public static string Url(int port) => string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}");

    /// <summary>Makes sure that it could start now: better told before a model is trained than after.</summary>
    /// <exception cref="FileNotFoundException">The server was not built.</exception>
    /// <exception cref="IOException">Something listens on the port already.</exception>
    public static void RequireReady(int port)
    {
        _ = Find() ?? throw new FileNotFoundException($"{Program} is neither beside trainserve nor in its build; build it with: dotnet build -c Release src/TrainServe.Server");
        using var listener = new TcpListener(IPAddress.Loopback, port);
        try
        {
            listener.Start();
        }
        catch (SocketException error) when (error.SocketErrorCode is SocketError.AddressAlreadyInUse or SocketError.AccessDenied)
        {
            throw new IOException(string.Create(CultureInfo.InvariantCulture, $"Port {port} of 127.0.0.1 {(error.SocketErrorCode == SocketError.AccessDenied ? "may not be listened on" : "is in use")}; choose another with --port, or end what listens there."), error);
        }
    }

    /// <summary>Starts it and waits until it ends; Ctrl-C reaches both.</summary>
    /// <exception cref="FileNotFoundException">The server was not built.</exception>
    /// <exception cref="IOException">Its port is in use, or dotnet cannot be started.</exception>
    public static async Task<int> RunAsync(string models, int port, CancellationToken stop)
    {
        RequireReady(port);
        using var process = Start([Find()!, "--models", models, "--urls", Url(port)]);
        try
        {
            await process.WaitForExitAsync(stop);
        }
        catch (OperationCanceledException)
        {
            // A terminal sends the signal to the server too, others to this process alone. The server answers what runs, and ends.
            if (!OperatingSystem.IsWindows())
            {
                _ = Kill(process.Id, SigTerm);
            }
            await process.WaitForExitAsync(CancellationToken.None);
        }
        return process.ExitCode is 130 or 143 ? 0 : process.ExitCode;
    }

    private static Process Start(string[] arguments)
    {
        // The program that runs this one, where that is dotnet: it need not be on the path.
        string host = Environment.ProcessPath is { } path && Path.GetFileNameWithoutExtension(path) == "dotnet" ? path : "dotnet";
        try
        {
            return Process.Start(new ProcessStartInfo(host, arguments) { UseShellExecute = false }) ?? throw new IOException("The server could not be started.");
        }
        catch (Win32Exception error)
        {
            throw new IOException($"The server cannot be started, because {host} cannot be run: {error.Message}. Put the directory of dotnet on the path.", error);
        }
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);

    // Beside this program where both were published, in a sibling folder where they were built.
    private static string? Find()
    {
        string here = AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar);
        string[] places = [Path.Combine(here, Program), Path.Combine(here, "..", "..", "TrainServe.Server", Path.GetFileName(here), Program)];
        return places.Where(File.Exists).Select(Path.GetFullPath).FirstOrDefault();
    }
}
