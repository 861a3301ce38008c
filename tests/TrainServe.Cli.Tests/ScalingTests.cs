using System.Text.Json;
using TrainServe.TestSupport;

namespace TrainServe.Cli.Tests;

/// <summary><c>trainserve scaling</c> as a user runs it, on sizes that take milliseconds a step.</summary>
public sealed class ScalingTests : PretrainingRuns
{
    [Fact]
    public async Task A_ladder_trains_every_size_on_every_amount_of_data_fits_them_and_foretells_the_next_size()
    {
        var result = await ScalingAsync("0.5", "1");
        Assert.True(result.ExitCode == 0, result.Error);
        var report = JsonDocument.Parse(await File.ReadAllTextAsync(Files.PathOf("report.json"), TestContext.Current.CancellationToken)).RootElement;
        Assert.Equal(6, report.GetProperty("runs").GetArrayLength());
        Assert.Equal(2, report.GetProperty("runs").EnumerateArray().Select(run => run.GetProperty("parameters").GetInt64()).Distinct().Count());
        Assert.Equal(4 * 16 * 40, report.GetProperty("runs").EnumerateArray().Max(run => run.GetProperty("tokens").GetInt64()));
        Assert.InRange(report.GetProperty("fit").GetProperty("relative_error").GetDouble(), 0, 0.1);
        long largest = report.GetProperty("runs").EnumerateArray().Max(run => run.GetProperty("parameters").GetInt64());
        Assert.InRange(report.GetProperty("next").GetProperty("parameters").GetInt64(), largest + 1, 10 * largest);
        Assert.InRange(report.GetProperty("next").GetProperty("loss").GetDouble(), 0.1, 6);
        Assert.Contains("next: ", result.Output);
        Assert.StartsWith("<svg ", await File.ReadAllTextAsync(Files.PathOf("ladder", "scaling.svg"), TestContext.Current.CancellationToken));

        // What is finished is not trained again: a larger ladder goes on from it.
        var metrics = new FileInfo(Files.PathOf("ladder", "scale-1-steps-40", "metrics.jsonl"));
        var (written, length) = (metrics.LastWriteTimeUtc, metrics.Length);
        Assert.Equal(0, (await ScalingAsync("0.5", "1")).ExitCode);
        metrics.Refresh();
        Assert.Equal(length, metrics.Length);
        Assert.True(metrics.LastWriteTimeUtc >= written);
    }

    [Fact]
    public async Task Too_few_runs_for_a_fit_are_refused_before_anything_is_trained()
    {
        var result = await ScalingAsync("1");
        Assert.Equal(2, result.ExitCode);
        Assert.Equal("error: 1 sizes and 3 amounts of data do not make a fit; give at least two of each and five runs in all, all above 0.\n", result.Error);
        Assert.False(Directory.Exists(Files.PathOf("ladder")));
    }

    private Task<ConsoleResult> ScalingAsync(params string[] sizes) => ConsoleHost.RunAsync(
        ["scaling", "--recipe", RecipePath, "--data", TextPath, "--output", Files.PathOf("ladder"), "--threads", "1", "--json", Files.PathOf("report.json"), "--steps", "10", "20", "40",
            "--set", "training.dropout=0", "--set", "checkpoint.every_steps=1000", "--set", "optimizer.warmup_steps=0", "--sizes", .. sizes]);
}
