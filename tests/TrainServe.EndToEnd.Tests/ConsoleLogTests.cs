using System.Diagnostics;
using TrainServe.EndToEnd.Tests.Deployment;
using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests;

public sealed class ConsoleLogTests
{
    [Theory]
    [InlineData("", "info: Microsoft.Hosting.Lifetime[14] Now listening on: http://127.0.0.1:")]
    [InlineData(" --Logging:Console:FormatterName json", "\"Message\":\"Now listening on: http://127.0.0.1:")]
    public async Task In_a_terminal_the_log_is_for_people_unless_it_is_told_otherwise(string option, string expected)
    {
        string? script = Programs.Find("script");
        Assert.SkipWhen(script is null, "This test needs script (util-linux), which gives a program a terminal.");
        using var models = new TemporaryDirectory();
        string command = $"exec dotnet '{ServerProcess.ProgramPath}' --urls http://127.0.0.1:0 --models '{models.FullName}'{option}";
        using var process = Process.Start(new ProcessStartInfo(script, ["-q", "-e", "-c", command, "/dev/null"]) { UseShellExecute = false, RedirectStandardInput = true, RedirectStandardOutput = true })!;
        try
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
            string? line = "";
            while (line is not null && !line.Contains("Now listening", StringComparison.Ordinal))
            {
                line = await process.StandardOutput.ReadLineAsync(limit.Token);
            }
            Assert.NotNull(line);
            // Colours are for the terminal.
            Assert.Contains(expected, System.Text.RegularExpressions.Regex.Replace(line, "\u001b\\[[0-9;]*m", ""), StringComparison.Ordinal);
        }
        finally
        {
            process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync();
        }
    }
}
