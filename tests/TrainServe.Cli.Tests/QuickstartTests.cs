using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using TrainServe.TestSupport;

namespace TrainServe.Cli.Tests;

/// <summary>The road in miniature: the fewest steps, so that the answers are wrong but everything else is as in a real run.</summary>
public sealed class QuickstartTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task One_command_makes_a_proven_model_and_reports_how_it_answers()
    {
        string output = _directory.PathOf("out");
        var result = await QuickstartAsync("out");
        Assert.True(result.ExitCode == 0, result.Error);
        foreach (string part in (string[])["data: ", "tokenizer: ", "recall: ", "pretrain: ", "sft: ", "export: ", "evaluate: ", "curl -s http://127.0.0.1:8080/v1/chat/completions", "serve it: "])
        {
            Assert.Contains(part, result.Output);
        }
        using var report = Report(output);
        Assert.Equal(["data", "tokenizer", "recall", "pretrain", "sft", "export", "evaluate"], Stages(report));
        Assert.All(report.RootElement.GetProperty("stages").EnumerateArray(), stage => Assert.True(stage.GetProperty("seconds").GetDouble() >= 0));
        Assert.InRange(report.RootElement.GetProperty("parity").GetProperty("max_error").GetDouble(), 0, 1e-4);
        Assert.InRange(report.RootElement.GetProperty("small_world_accuracy").GetDouble(), 0, 0.2);
        var family = report.RootElement.GetProperty("families").GetProperty("where_held");
        foreach (string field in (string[])["score", "baseline_no_story", "baseline_majority", "baseline_last_mention"])
        {
            Assert.InRange(family.GetProperty(field).GetDouble(), 0, 1);
        }
        Assert.True(family.GetProperty("needs_story").GetBoolean());
        Assert.False(report.RootElement.GetProperty("families").GetProperty("sum").GetProperty("needs_story").GetBoolean());
        var shown = await ConsoleHost.RunAsync("inspect", report.RootElement.GetProperty("model").GetString()!);
        Assert.Contains("certificate fp32   holds", shown.Output);
    }

    [Fact]
    [Trait("Category", "Slow")]
    public async Task What_was_stopped_anywhere_goes_on_and_gives_the_same_model()
    {
        Assert.Equal(0, (await QuickstartAsync("whole")).ExitCode);
        string[] marks = ["data: ", "sft: ", "evaluate: "];
        for (int i = 0; i < marks.Length; i++)
        {
            await StopAtAsync(marks[i], i == 0 ? [] : ["--resume"]);
        }
        var resumed = await QuickstartAsync("stopped", "--resume");
        Assert.True(resumed.ExitCode == 0, resumed.Error);
        Assert.Equal(Weights("whole"), Weights("stopped"));
        using var whole = Report(_directory.PathOf("whole"));
        using var stopped = Report(_directory.PathOf("stopped"));
        Assert.Equal(Stages(whole), Stages(stopped));
        Assert.Equal(whole.RootElement.GetProperty("families").GetRawText(), stopped.RootElement.GetProperty("families").GetRawText());
    }

    [Fact]
    public async Task A_quickstart_that_is_there_is_neither_overwritten_nor_resumed_with_other_options()
    {
        _directory.WriteText("out/report.json", "{\"model\": \"m\", \"minutes\": 3, \"seed\": 1}");
        var again = await QuickstartAsync("out");
        Assert.Equal(1, again.ExitCode);
        Assert.Contains("add --resume to go on with it", again.Error);
        var other = await QuickstartAsync("out", "--resume");
        Assert.Equal(2, other.ExitCode);
        Assert.Contains("was begun with 3 minutes", other.Error);
        var none = await QuickstartAsync("none", "--resume");
        Assert.Equal(1, none.ExitCode);
        Assert.Contains("holds no quickstart that could be resumed", none.Error);
    }

    [Fact]
    public async Task A_text_of_one_s_own_takes_the_place_of_the_small_world()
    {
        string text = _directory.WriteText("tales.txt", string.Join("\n<|endoftext|>\n", Enumerable.Range(0, 300).Select(i => string.Create(CultureInfo.InvariantCulture, $"Tale {i}: the fox met the hen number {i * 7 % 50} in the wood. Then both went home when the sun was low."))));
        var result = await QuickstartAsync("out", "--data", text);
        Assert.True(result.ExitCode == 0, result.Error);
        using var report = Report(_directory.PathOf("out"));
        Assert.Equal(["data", "tokenizer", "pretrain", "sft", "export", "evaluate"], Stages(report));
        Assert.False(report.RootElement.TryGetProperty("small_world_accuracy", out _));
    }

    private static List<string> Stages(JsonDocument report) => [.. report.RootElement.GetProperty("stages").EnumerateArray().Select(stage => stage.GetProperty("name").GetString()!)];

    private static JsonDocument Report(string output) => JsonDocument.Parse(File.ReadAllBytes(Path.Combine(output, "report.json")));

    private byte[] Weights(string output) => File.ReadAllBytes(_directory.PathOf(output, "models", "quickstart", "model.safetensors"));

    private Task<ConsoleResult> QuickstartAsync(string output, params string[] more) => ConsoleHost.RunAsync(["quickstart", "--minutes", "0.1", "--output", _directory.PathOf(output), .. more]);

    private async Task StopAtAsync(string mark, params string[] more)
    {
        using var process = ConsoleHost.Start(["quickstart", "--minutes", "0.1", "--output", _directory.PathOf("stopped"), .. more]);
        var error = process.StandardError.ReadToEndAsync();
        while (await process.StandardOutput.ReadLineAsync() is { } line && !line.StartsWith(mark, StringComparison.Ordinal))
        {
        }
        using (var kill = Process.Start("kill", ["-INT", process.Id.ToString(CultureInfo.InvariantCulture)]))
        {
            kill.WaitForExit();
        }
        await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 130, $"{process.ExitCode}: {await error}");
    }
}
