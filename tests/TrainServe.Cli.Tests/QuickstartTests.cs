using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
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

        // Any model can be asked the same.
        string json = _directory.PathOf("exam.json");
        var exam = await ConsoleHost.RunAsync("evaluate", "--model", report.RootElement.GetProperty("model").GetString()!, "--backend", "onnx", "--tasks", $"small-world:{Path.Combine(output, "data", "evaluation.jsonl")}", "--json", json);
        Assert.Equal((0, ""), (exam.ExitCode, exam.Error));
        var task = JsonDocument.Parse(await File.ReadAllTextAsync(json)).RootElement.GetProperty("tasks").GetProperty("small-world:evaluation");
        Assert.Equal(report.RootElement.GetProperty("small_world_accuracy").GetDouble(), task.GetProperty("metrics").GetProperty("accuracy").GetDouble(), 1e-9);
        Assert.Equal(family.GetProperty("score").GetDouble(), task.GetProperty("groups").GetProperty("where_held").GetDouble(), 1e-9);
    }

    [Fact]
    [Trait("Category", "Slow")]
    public async Task What_was_stopped_anywhere_goes_on_and_gives_the_same_model()
    {
        Assert.Equal(0, (await QuickstartAsync("whole")).ExitCode);
        string[] marks = ["data: ", "tokenizer: ", "recall: ", "pretrain: ", "sft: ", "export: ", "evaluate: "];
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

    [Fact]
    public async Task A_full_disk_is_a_sentence_and_the_road_goes_on_when_there_is_room()
    {
        using var disk = SmallDisk.Mount(_directory.PathOf("disk"), mebibytes: 64);
        disk.Fill(leaveBytes: 256 * 1024);
        string output = Path.Combine(disk.Directory, "out");
        var failed = await ConsoleHost.RunAsync("quickstart", "--minutes", "0.1", "--output", output);
        Assert.Equal(1, failed.ExitCode);
        Assert.Matches("^error: .*No space left on device.* Make room, then go on with --resume; what is done is kept.\n$", failed.Error);
        disk.MakeRoom();
        var resumed = await ConsoleHost.RunAsync("quickstart", "--minutes", "0.1", "--output", output, "--resume");
        Assert.True(resumed.ExitCode == 0, resumed.Error);
    }

    [Fact]
    public async Task A_port_that_is_in_use_is_told_before_anything_is_trained()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        string port = ((IPEndPoint)listener.LocalEndpoint).Port.ToString(CultureInfo.InvariantCulture);
        var result = await QuickstartAsync("out", "--serve", "--port", port);
        Assert.Equal(1, result.ExitCode);
        Assert.Equal($"error: Port {port} of 127.0.0.1 is in use; choose another with --port, or end what listens there.\n", result.Error);
        Assert.False(Directory.Exists(_directory.PathOf("out")));
    }

    [Fact]
    public async Task The_server_that_it_starts_answers_the_line_that_it_prints_and_ends_with_it()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "This test runs a line of a shell, and sends SIGTERM.");
        int port = FreePort.Find();
        using var process = ConsoleHost.Start(["quickstart", "--minutes", "0.1", "--output", _directory.PathOf("out"), "--serve", "--port", port.ToString(CultureInfo.InvariantCulture)]);
        var error = process.StandardError.ReadToEndAsync();
        string? line;
        while ((line = await process.StandardOutput.ReadLineAsync()) is not null && !line.StartsWith("ask it: ", StringComparison.Ordinal))
        {
        }
        if (line is null)
        {
            Assert.Fail(await error);
        }
        var output = process.StandardOutput.ReadToEndAsync();
        try
        {
            using var client = new HttpClient { BaseAddress = new Uri(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}")) };
            while (!await IsReadyAsync(client))
            {
                Assert.False(process.HasExited, "The server ended.");
                await Task.Delay(50, TestContext.Current.CancellationToken);
            }
            using var shell = Process.Start(new ProcessStartInfo("sh", ["-c", line["ask it: ".Length..]]) { UseShellExecute = false, RedirectStandardOutput = true })!;
            using var answer = JsonDocument.Parse(await shell.StandardOutput.ReadToEndAsync());
            Assert.Equal("assistant", answer.RootElement.GetProperty("choices")[0].GetProperty("message").GetProperty("role").GetString());
        }
        catch
        {
            process.Kill(entireProcessTree: true);
            throw;
        }
        Signal(process, "-TERM");
        await output;
        await process.WaitForExitAsync();
        Assert.Equal(0, process.ExitCode);
        // Nobody listens there any more.
        using var listener = new TcpListener(IPAddress.Loopback, port);
        listener.Start();
    }

    private static async Task<bool> IsReadyAsync(HttpClient client)
    {
        try
        {
            return (await client.GetAsync(new Uri("/health/ready", UriKind.Relative))).IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    private static void Signal(Process process, string signal)
    {
        using var kill = Process.Start("kill", [signal, process.Id.ToString(CultureInfo.InvariantCulture)]);
        kill.WaitForExit();
    }

    private static List<string> Stages(JsonDocument report) => [.. report.RootElement.GetProperty("stages").EnumerateArray().Select(stage => stage.GetProperty("name").GetString()!)];

    private static JsonDocument Report(string output) => JsonDocument.Parse(File.ReadAllBytes(Path.Combine(output, "report.json")));

    private byte[] Weights(string output) => File.ReadAllBytes(_directory.PathOf(output, "models", "quickstart", "model.safetensors"));

    private Task<ConsoleResult> QuickstartAsync(string output, params string[] more) => ConsoleHost.RunAsync(["quickstart", "--minutes", "0.1", "--output", _directory.PathOf(output), .. more]);

    // A shell starts what runs in its background so, and processes pass it on to what they start.
    private static bool IgnoresInterrupts => File.Exists("/proc/self/status") && File.ReadLines("/proc/self/status").FirstOrDefault(line => line.StartsWith("SigIgn:", StringComparison.Ordinal)) is { } ignored
        && (ulong.Parse(ignored["SigIgn:".Length..].Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture) & 0b10) != 0;

    private async Task StopAtAsync(string mark, params string[] more)
    {
        using var process = ConsoleHost.Start(["quickstart", "--minutes", "0.1", "--output", _directory.PathOf("stopped"), .. more]);
        var error = process.StandardError.ReadToEndAsync();
        while (await process.StandardOutput.ReadLineAsync() is { } line && !line.StartsWith(mark, StringComparison.Ordinal))
        {
        }
        Signal(process, IgnoresInterrupts ? "-TERM" : "-INT");
        await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 130, $"{process.ExitCode}: {await error}");
    }
}
