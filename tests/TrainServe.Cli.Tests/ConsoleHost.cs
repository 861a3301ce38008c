using System.Diagnostics;
using TrainServe.TestSupport;

namespace TrainServe.Cli.Tests;

/// <summary>What a run of the program gave.</summary>
public sealed record ConsoleResult(int ExitCode, string Output, string Error);

/// <summary>Starts the built <c>trainserve</c> as a user would.</summary>
public static class ConsoleHost
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    public static Task<ConsoleResult> RunAsync(params string[] arguments) => RunAsync("", arguments);

    public static async Task<ConsoleResult> RunAsync(string input, string[] arguments)
    {
        using var process = Start(arguments);
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        await process.StandardInput.WriteAsync(input);
        process.StandardInput.Close();
        using var limit = new CancellationTokenSource(Limit);
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException tooLong)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"trainserve {string.Join(' ', arguments)} did not end in {Limit}.", tooLong);
        }
        return new ConsoleResult(process.ExitCode, await output, await error);
    }

    /// <summary>The caller reads, waits and disposes.</summary>
    public static Process Start(params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet", [ProgramPath, .. arguments])
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        return Process.Start(start) ?? throw new InvalidOperationException("dotnet could not be started.");
    }

    // Tests and program are built in the same configuration, into sibling folders.
    private static string ProgramPath => RepositoryRoot.PathOf($"artifacts/bin/TrainServe.Cli/{Path.GetFileName(AppContext.BaseDirectory.TrimEnd('/', '\\'))}/trainserve.dll");
}
