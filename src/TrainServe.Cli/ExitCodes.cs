using System.CommandLine;
using TrainServe.Core;
using TrainServe.Training.Distributed;

namespace TrainServe.Cli;

/// <summary>How the process ends: 0 done, 1 failed, 2 bad arguments or recipe, 130 interrupted after saving.</summary>
public static class ExitCodes
{
    public const int Done = 0, Failed = 1, BadArguments = 2, Interrupted = 130;

    /// <summary>Runs the command line; an expected failure becomes one sentence on standard error.</summary>
    public static async Task<int> RunAsync(RootCommand root, string[] args)
    {
        var parsed = root.Parse(args);
        if (parsed.Errors.Count > 0)
        {
            foreach (var error in parsed.Errors)
            {
                await Console.Error.WriteLineAsync($"error: {error.Message}");
            }
            return BadArguments;
        }
        try
        {
            return await parsed.InvokeAsync(new InvocationConfiguration
            {
                EnableDefaultExceptionHandler = false,
                // Training saves before it stops and so listens to the signals itself.
                ProcessTerminationTimeout = null,
            });
        }
        catch (Exception error) when (error is RecipeException or ArgumentException)
        {
            return await ReportAsync(error, BadArguments);
        }
        catch (OperationCanceledException)
        {
            return Interrupted;
        }
        catch (Exception error)
        {
            // Also what nobody foresaw ends in one sentence; TRAINSERVE_DEBUG=1 shows where it came from.
            return await ReportAsync(error, Failed);
        }
    }

    private static async Task<int> ReportAsync(Exception error, int code)
    {
        int rank = MpiProcessGroup.RankBefore;
        if (rank > 0)
        {
            // Mostly the first process of the job has the same to say, and mpirun ends this one then.
            await Task.Delay(TimeSpan.FromSeconds(3));
        }
        await Console.Error.WriteLineAsync(rank > 0 ? $"error in process {rank}: {Sentence(error)}" : $"error: {Sentence(error)}");
        if (Environment.GetEnvironmentVariable("TRAINSERVE_DEBUG") == "1")
        {
            await Console.Error.WriteLineAsync(error.ToString());
        }
        return code;
    }

    // The framework adds the parameter's name, which says nothing to the user.
    private static string Sentence(Exception error) =>
        error is ArgumentException { ParamName: { } name } ? error.Message.Replace($" (Parameter '{name}')", "", StringComparison.Ordinal) : error.Message;
}
