using TrainServe.Core.Random;
using TrainServe.TestSupport;

namespace TrainServe.Cli.Tests;

public sealed class TrainingTests : PretrainingRuns
{
    [Fact]
    public async Task Text_becomes_a_model_in_one_command()
    {
        var result = await PretrainAsync("out");
        Assert.True(result.ExitCode == 0, result.Error);
        Assert.Contains("step 60/60", result.Output);
        Assert.Contains("Done: 60 steps", result.Output);
        Assert.Equal(60, File.ReadLines(Files.PathOf("out", "metrics.jsonl")).Count(line => line.Contains("\"train\"", StringComparison.Ordinal)));
        Assert.Contains("every hash holds", (await ConsoleHost.RunAsync("inspect", Files.PathOf("out"))).Output);
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
        Assert.False(Directory.Exists(Files.PathOf("out")));
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
    public async Task A_finished_run_that_is_resumed_says_so_and_keeps_its_export()
    {
        await PretrainAsync("out");
        Assert.Equal(0, (await ConsoleHost.RunAsync("export", "--model", Files.PathOf("out"))).ExitCode);
        var manifest = File.ReadAllBytes(Files.PathOf("out", "manifest.json"));
        var resumed = await PretrainAsync("out", "--resume");
        Assert.True(resumed.ExitCode == 0, resumed.Error);
        Assert.Contains("The run is finished: it is at step 60 of 60.", resumed.Output);
        Assert.Equal(manifest, File.ReadAllBytes(Files.PathOf("out", "manifest.json")));
        Assert.Contains("certificate fp32   holds", (await ConsoleHost.RunAsync("inspect", Files.PathOf("out"))).Output);
    }

    [Fact]
    public async Task A_tokenizer_of_bytes_is_the_same_whether_aRecipePath_or_a_command_asks_for_it()
    {
        string tokenizer = Files.PathOf("tokenizer");
        Assert.Equal(0, (await ConsoleHost.RunAsync("tokenizer", "train", "--input", TextPath, "--vocab-size", "264", "--output", tokenizer)).ExitCode);
        await PretrainAsync("out", "--set", "training.steps=1");
        foreach (string file in (string[])["tokenizer.json", "tokenizer_config.json"])
        {
            Assert.Equal(File.ReadAllText(Path.Combine(tokenizer, file)), File.ReadAllText(Files.PathOf("out", file)));
        }
    }

    [Fact]
    public async Task Text_is_packed_into_files_of_tokens()
    {
        string packed = Files.PathOf("packed"), tokenizer = Files.PathOf("tokenizer");
        Assert.Equal(0, (await ConsoleHost.RunAsync("tokenizer", "train", "--input", TextPath, "--vocab-size", "300", "--output", tokenizer)).ExitCode);
        var result = await ConsoleHost.RunAsync("data", "pack", "--input", TextPath, "--tokenizer", tokenizer, "--output", packed, "--validation-fraction", "0.1");
        Assert.True(result.ExitCode == 0, result.Error);
        Assert.Contains("divided by tail", result.Output);
        var again = await ConsoleHost.RunAsync("data", "pack", "--input", TextPath, "--tokenizer", tokenizer, "--output", packed);
        Assert.Equal(1, again.ExitCode);
        Assert.Contains("already holds packed data", again.Error);
        string shard = Files.PathOf("packed", "train-00000.tokens");
        var bytes = File.ReadAllBytes(shard);
        File.WriteAllBytes(shard, bytes[..^8]);
        var refused = await ConsoleHost.RunAsync("pretrain", "--recipe", RecipePath, "--data", packed, "--output", Files.PathOf("out"));
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
        byte[] manifest = await File.ReadAllBytesAsync(Files.PathOf("out/manifest.json"));
        var again = await PretrainAsync("out", "--resume-if-any");
        Assert.True(again.ExitCode == 0, again.Error);
        Assert.Equal(manifest, await File.ReadAllBytesAsync(Files.PathOf("out/manifest.json")));
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
        Assert.Equal(File.ReadAllBytes(Files.PathOf("whole", "model.safetensors")), File.ReadAllBytes(Files.PathOf("out", "model.safetensors")));
        Assert.Equal(Losses("whole"), Losses("out"));
    }
}
