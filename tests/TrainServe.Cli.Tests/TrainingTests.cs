using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using TrainServe.Core.Random;
using TrainServe.TestSupport;

namespace TrainServe.Cli.Tests;

public sealed class TrainingTests : IDisposable
{
    // Saved after every step, so that a kill at a random moment often meets a save.
    private const string Recipe = """
        seed: 1
        tokenizer: { vocab_size: 264 }
        model: { hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 2 }
        data: { sequence_length: 16, validation_rule: tail }
        training: { steps: 60, batch_rows: 4, micro_batch_rows: 2, dropout: 0.1 }
        validation: { every_steps: 7 }
        checkpoint: { every_steps: 1 }
        """;

    private readonly TemporaryDirectory _directory = new();
    private readonly string _recipe, _text;

    public TrainingTests()
    {
        _recipe = _directory.WriteText("toy.yaml", Recipe);
        _text = _directory.WriteText("text.txt", string.Concat(Enumerable.Range(0, 300).Select(i => string.Create(CultureInfo.InvariantCulture, $"Once upon a time {i} cats sat on a mat. "))));
    }

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task Text_becomes_a_model_in_one_command()
    {
        var result = await PretrainAsync("out");
        Assert.True(result.ExitCode == 0, result.Error);
        Assert.Contains("step 60/60", result.Output);
        Assert.Contains("Done: 60 steps", result.Output);
        Assert.Equal(60, File.ReadLines(_directory.PathOf("out", "metrics.jsonl")).Count(line => line.Contains("\"train\"", StringComparison.Ordinal)));
        Assert.Contains("every hash holds", (await ConsoleHost.RunAsync("inspect", _directory.PathOf("out"))).Output);
    }

    [Fact]
    public async Task A_dry_run_shows_the_plan_and_writes_nothing()
    {
        var result = await PretrainAsync("out", "--dry-run");
        Assert.True(result.ExitCode == 0, result.Error);
        foreach (string part in (string[])["parameters", "memory: about", "steps: 60 of 4 rows in parts of 2 of 16 tokens: 3,840 tokens", "row 1: "])
        {
            Assert.Contains(part, result.Output);
        }
        Assert.False(Directory.Exists(_directory.PathOf("out")));
    }

    [Theory]
    [InlineData("training.step=5", 2, "training.step is not a key of a recipe; did you mean steps?")]
    [InlineData("training.steps=0", 2, "training.steps is 0; it must be at least 1.")]
    [InlineData("training.batch_rows=1048576", 2, "set training.micro_batch_rows below 1048576.")]
    [InlineData("data.sequence_length=100000", 1, "to train on; a row of 100000 needs 100001")]
    public async Task A_wrong_setting_is_one_sentence_and_an_exit_code(string setting, int exitCode, string message)
    {
        var result = await PretrainAsync("out", "--set", "training.micro_batch_rows=null", "--set", setting);
        Assert.Equal(exitCode, result.ExitCode);
        Assert.Contains(message, result.Error);
        Assert.Single(result.Error.TrimEnd().Split('\n'));
    }

    [Fact]
    public async Task Text_is_packed_into_files_of_tokens()
    {
        string packed = _directory.PathOf("packed"), tokenizer = _directory.PathOf("tokenizer");
        Assert.Equal(0, (await ConsoleHost.RunAsync("tokenizer", "train", "--input", _text, "--vocab-size", "300", "--output", tokenizer)).ExitCode);
        var result = await ConsoleHost.RunAsync("data", "pack", "--input", _text, "--tokenizer", tokenizer, "--output", packed, "--validation-fraction", "0.1");
        Assert.True(result.ExitCode == 0, result.Error);
        Assert.Contains("divided by tail", result.Output);
        var again = await ConsoleHost.RunAsync("data", "pack", "--input", _text, "--tokenizer", tokenizer, "--output", packed);
        Assert.Equal(1, again.ExitCode);
        Assert.Contains("already holds packed data", again.Error);
        string shard = _directory.PathOf("packed", "train-00000.tokens");
        var bytes = File.ReadAllBytes(shard);
        File.WriteAllBytes(shard, bytes[..^8]);
        var refused = await ConsoleHost.RunAsync("pretrain", "--recipe", _recipe, "--data", packed, "--output", _directory.PathOf("out"));
        Assert.Equal(1, refused.ExitCode);
        Assert.Contains($"{shard} has {bytes.Length - 8} bytes where its header says {bytes.Length}: it was cut short.", refused.Error);
    }

    [Fact]
    public async Task A_request_to_stop_saves_and_the_resumed_run_gives_the_same_weights()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "This test sends SIGTERM.");
        await PretrainAsync("whole");
        using (var process = StartPretraining("out"))
        {
            await WaitForStepAsync("out", 5);
            Signal(process, "TERM");
            Assert.Contains("the state is saved", await process.StandardError.ReadToEndAsync());
            await process.WaitForExitAsync();
            Assert.Equal(130, process.ExitCode);
        }
        int saved = LastCheckpoint("out");
        Assert.InRange(saved, 5, 59);
        // What was done stands in the metrics, and the checkpoint is of the last of it.
        Assert.Equal(LastStep("out"), saved);
        await AssertResumedAsync();
    }

    [Fact]
    public async Task A_job_that_is_started_again_and_again_begins_once_goes_on_and_stays_finished()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "This test sends SIGTERM.");
        await PretrainAsync("whole");
        using (var process = StartPretraining("out", "--resume-if-any"))
        {
            await WaitForStepAsync("out", 5);
            Signal(process, "TERM");
            await process.WaitForExitAsync();
            Assert.Equal(130, process.ExitCode);
        }
        var resumed = await PretrainAsync("out", "--resume-if-any");
        Assert.True(resumed.ExitCode == 0, resumed.Error);
        AssertSameAsWhole();
        byte[] manifest = await File.ReadAllBytesAsync(_directory.PathOf("out/manifest.json"));
        var again = await PretrainAsync("out", "--resume-if-any");
        Assert.True(again.ExitCode == 0, again.Error);
        Assert.Equal(manifest, await File.ReadAllBytesAsync(_directory.PathOf("out/manifest.json")));
    }

    [Fact]
    public async Task A_second_trainer_in_one_directory_is_refused()
    {
        using var process = StartPretraining("out", "--set", "training.steps=100000");
        await WaitForStepAsync("out", 2);
        var second = await PretrainAsync("out", "--resume", "--set", "training.steps=100000");
        Assert.Equal(1, second.ExitCode);
        Assert.Contains($"Another process (number {process.Id}) trains in", second.Error);
        process.Kill();
        await process.WaitForExitAsync();
    }

    [Fact]
    public Task A_run_killed_at_random_moments_ends_with_the_weights_of_one_that_never_stopped() => KillAsync(kills: 4);

    [Fact]
    [Trait("Category", "Slow")]
    public Task A_run_killed_fifty_times_ends_with_the_weights_of_one_that_never_stopped() => KillAsync(kills: 50);

    private async Task KillAsync(int kills)
    {
        await PretrainAsync("whole", "--set", $"training.steps={20 * kills}");
        var random = new PhiloxRandom((ulong)kills);
        for (int kill = 0; kill < kills; kill++)
        {
            string[] resume = kill == 0 ? [] : ["--resume"];
            using var process = StartPretraining("out", ["--set", $"training.steps={20 * kills}", .. resume]);
            // Some steps further than the last time, and then anywhere within a step or a save.
            int from = kill == 0 ? 0 : LastCheckpoint("out");
            await WaitForStepAsync("out", Math.Min(from + 1 + random.NextInt32(12), 20 * kills - 1), process);
            await Task.Delay(random.NextInt32(20));
            process.Kill();
            await process.WaitForExitAsync();
        }
        await AssertResumedAsync("--set", $"training.steps={20 * kills}");
    }

    private async Task AssertResumedAsync(params string[] more)
    {
        var resumed = await PretrainAsync("out", ["--resume", .. more]);
        Assert.True(resumed.ExitCode == 0, resumed.Error);
        AssertSameAsWhole();
    }

    private void AssertSameAsWhole()
    {
        Assert.Equal(File.ReadAllBytes(_directory.PathOf("whole", "model.safetensors")), File.ReadAllBytes(_directory.PathOf("out", "model.safetensors")));
        Assert.Equal(Losses("whole"), Losses("out"));
    }

    private Task<ConsoleResult> PretrainAsync(string output, params string[] more) => ConsoleHost.RunAsync(Arguments(output, more));

    private Process StartPretraining(string output, params string[] more) => ConsoleHost.Start(Arguments(output, more));

    private string[] Arguments(string output, string[] more) => ["pretrain", "--recipe", _recipe, "--data", _text, "--output", _directory.PathOf(output), "--threads", "1", .. more];

    private async Task WaitForStepAsync(string output, int step, Process? process = null)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        while (LastStep(output) < step && process is not { HasExited: true })
        {
            Assert.False(limit.IsCancellationRequested, $"Step {step} did not come within two minutes.");
            await Task.Delay(2, CancellationToken.None);
        }
    }

    private int LastStep(string output)
    {
        string path = _directory.PathOf(output, "metrics.jsonl");
        return !File.Exists(path) ? 0 : ReadLines(path).Where(line => line.StartsWith("{\"event\":\"train\"", StringComparison.Ordinal) && line.EndsWith('}'))
            .Select(line => JsonDocument.Parse(line).RootElement.GetProperty("step").GetInt32()).LastOrDefault();
    }

    private int LastCheckpoint(string output) => !Directory.Exists(_directory.PathOf(output, "checkpoints")) ? 0 : Directory.GetDirectories(_directory.PathOf(output, "checkpoints"), "step-*")
        .Select(path => int.TryParse(Path.GetFileName(path)[5..], CultureInfo.InvariantCulture, out int step) ? step : 0).DefaultIfEmpty().Max();

    private List<string> Losses(string output) => [.. ReadLines(_directory.PathOf(output, "metrics.jsonl")).Select(line => JsonDocument.Parse(line).RootElement)
        .Select(line => $"{line.GetProperty("event").GetString()} {line.GetProperty("step").GetInt64()} {line.GetProperty("loss").GetRawText()}")];

    private static string[] ReadLines(string path)
    {
        using var reader = new StreamReader(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete));
        return reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    private static void Signal(Process process, string name)
    {
        using var kill = Process.Start("kill", [$"-{name}", process.Id.ToString(CultureInfo.InvariantCulture)]);
        kill.WaitForExit();
    }
}
