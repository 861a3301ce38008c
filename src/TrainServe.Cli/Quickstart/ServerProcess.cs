using System.Diagnostics;

namespace TrainServe.Cli.Quickstart;

/// <summary>The server as a process of its own.</summary>
internal static class ServerProcess
{
    private const string Program = "TrainServe.Server.dll";

    /// <summary>What starts it, as one would type it.</summary>
    public static string CommandLine(string models) => $"dotnet {Find() ?? Program} --models {models}";

    /// <summary>Starts it and waits until it ends; Ctrl-C reaches both.</summary>
    /// <exception cref="FileNotFoundException">The server was not built.</exception>
    public static async Task<int> RunAsync(string models, CancellationToken stop)
    {
        string program = Find() ?? throw new FileNotFoundException($"{Program} is neither beside trainserve nor in its build; build it with: dotnet build -c Release src/TrainServe.Server");
        using var process = Process.Start(new ProcessStartInfo("dotnet", [program, "--models", models]) { UseShellExecute = false })
            ?? throw new InvalidOperationException("The server could not be started.");
        try
        {
            await process.WaitForExitAsync(stop);
        }
        catch (OperationCanceledException)
        {
            // The terminal sent the signal to the server too; it answers what runs, and ends.
            await process.WaitForExitAsync(CancellationToken.None);
        }
        return process.ExitCode is 130 or 143 ? 0 : process.ExitCode;
    }

    // Beside this program where both were published, in a sibling folder where they were built.
    private static string? Find()
    {
        string here = AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar);
        string[] places = [Path.Combine(here, Program), Path.Combine(here, "..", "..", "TrainServe.Server", Path.GetFileName(here), Program)];
        return places.Where(File.Exists).Select(Path.GetFullPath).FirstOrDefault();
    }
}
