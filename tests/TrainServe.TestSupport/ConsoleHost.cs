using System.Diagnostics;
using System.Globalization;

namespace TrainServe.TestSupport;

/// <summary>What a run of the program gave.</summary>
public sealed record ConsoleResult(int ExitCode, string Output, string Error);

/// <summary>Starts the built <c>trainserve</c> as a user would.</summary>
public static class ConsoleHost
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    public static Task<ConsoleResult> RunAsync(params string[] arguments) => RunAsync("", arguments);

    public static Task<ConsoleResult> RunAsync(string input, string[] arguments) => RunAsync(input, arguments, "dotnet", [ProgramPath, .. arguments]);

    /// <summary>With a limit on the process's address space, so that large allocations fail.</summary>
    public static Task<ConsoleResult> RunLimitedAsync(long addressSpaceBytes, params string[] arguments) => RunAsync("", arguments,
        "sh", ["-c", string.Create(CultureInfo.InvariantCulture, $"ulimit -v {addressSpaceBytes / 1024}; exec dotnet \"$@\""), "sh", ProgramPath, .. arguments]);

    /// <summary>Under mpirun, as several processes of one job.</summary>
    public static Task<ConsoleResult> RunTogetherAsync(int processes, params string[] arguments) => RunAsync("", arguments, "mpirun", Together(processes, ProgramPath, arguments));

    /// <summary>The same, for the caller to read, wait and dispose. The process is mpirun's.</summary>
    public static Process StartTogether(int processes, params string[] arguments) => Start("mpirun", Together(processes, ProgramPath, arguments));

    /// <summary>Under mpirun, the program of TrainServe.Ranks.</summary>
    public static Task<ConsoleResult> RunRanksAsync(int processes, string[] arguments, params (string Name, string Value)[] environment) =>
        RunAsync("", arguments, "mpirun", Together(processes, PathOf("TrainServe.Ranks", "TrainServe.Ranks.dll"), arguments), environment);

    /// <summary>Whether there is an mpirun here.</summary>
    public static bool HasMpi => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(directory => File.Exists(Path.Combine(directory, "mpirun")));

    private static string[] Together(int processes, string program, string[] arguments) =>
        ["-np", processes.ToString(CultureInfo.InvariantCulture), "--bind-to", "none", "--oversubscribe", "dotnet", program, .. arguments];

    private static async Task<ConsoleResult> RunAsync(string input, string[] arguments, string program, string[] programArguments, params (string Name, string Value)[] environment)
    {
        using var process = Start(program, programArguments, environment);
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
    public static Process Start(params string[] arguments) => Start("dotnet", [ProgramPath, .. arguments]);

    private static Process Start(string program, string[] arguments, params ReadOnlySpan<(string Name, string Value)> environment)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        // Open MPI asks for this where tests run as root.
        start.Environment["OMPI_ALLOW_RUN_AS_ROOT"] = start.Environment["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1";
        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }
        return Process.Start(start) ?? throw new InvalidOperationException("dotnet could not be started.");
    }

    // Tests and program are built in the same configuration, into sibling folders.
    private static string ProgramPath => PathOf("TrainServe.Cli", "trainserve.dll");

    private static string PathOf(string project, string program) => RepositoryRoot.PathOf($"artifacts/bin/{project}/{Path.GetFileName(AppContext.BaseDirectory.TrimEnd('/', '\\'))}/{program}");
}
