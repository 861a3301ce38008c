using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using TrainServe.Core.Packaging;
using TrainServe.TestSupport;

namespace TrainServe.Cli.Tests;

/// <summary>Runs under mpirun: several processes, one model.</summary>
public sealed class ManyProcessesTests : PretrainingRuns
{
    // Updates in proportion to gradients, so that weights show every difference of these; with the usual epsilon a gradient near 0 would count by its sign.
    private static readonly string[] Comparable = ["--set", "training.dropout=0", "--set", "training.micro_batch_rows=null", "--set", "training.precision=float32", "--set", "optimizer.epsilon=1", "--set", "optimizer.learning_rate=0.5", "--set", "optimizer.warmup_steps=0"];
    private static readonly string[] Long = ["--set", "training.steps=100000", "--set", "validation.every_steps=100000", "--set", "checkpoint.every_steps=3"];

    public ManyProcessesTests() => Assert.SkipUnless(ConsoleHost.HasMpi, "mpirun is not installed (on Debian: openmpi-bin).");

    [Theory]
    [InlineData(2, false)]
    [InlineData(4, false)]
    [InlineData(2, true)] // gradients are added while earlier blocks are computed again
    public async Task Several_processes_give_the_weights_of_one_process_on_the_combined_batch(int processes, bool recompute)
    {
        var one = await PretrainAsync("one", Comparable);
        Assert.True(one.ExitCode == 0, one.Error);
        var several = await ConsoleHost.RunTogetherAsync(processes, Arguments("several", [.. Comparable, "--set", $"training.activation_checkpointing={(recompute ? "true" : "false")}"]));
        Assert.True(several.ExitCode == 0, several.Error);
        AssertClose("one", "several");
        Assert.Equal(LossValues("one").Length, LossValues("several").Length);
        Assert.All(LossValues("one").Zip(LossValues("several")), pair => Assert.Equal(pair.First, pair.Second, 1e-5));
        // One process speaks for all.
        Assert.Single(several.Output.Split('\n'), line => line.StartsWith("Done:", StringComparison.Ordinal));
        Assert.Contains($"processes: {processes}, {4 / processes} rows of a step each", several.Output);
        Assert.Empty(several.Error);
    }

    [Fact]
    public async Task Processes_whose_rows_hold_different_numbers_of_learned_tokens_give_the_fine_tuning_of_one()
    {
        Assert.Equal(0, (await PretrainAsync("base", "--set", "training.steps=3", "--set", "data.sequence_length=48")).ExitCode);
        string recipe = Files.WriteText("sft.yaml", """
            seed: 1
            data: { validation_fraction: 0.2 }
            training: { steps: 12, batch_rows: 2, precision: float32 }
            optimizer: { learning_rate: 0.5, epsilon: 1, warmup_steps: 0 }
            validation: { every_steps: 6 }
            """);
        string talks = Files.WriteText("talks.jsonl", string.Concat(Enumerable.Range(0, 40).Select(i =>
            $"{{\"messages\":[{{\"role\":\"user\",\"content\":\"{i}?\"}},{{\"role\":\"assistant\",\"content\":\"{new string('a', 1 + i % 20)}\"}}]}}\n")));
        string[] Arguments(string output) => ["sft", "--recipe", recipe, "--model", Files.PathOf("base"), "--data", talks, "--output", Files.PathOf(output), "--threads", "1"];
        var one = await ConsoleHost.RunAsync(Arguments("sft-one"));
        Assert.True(one.ExitCode == 0, one.Error);
        var several = await ConsoleHost.RunTogetherAsync(2, Arguments("sft-several"));
        Assert.True(several.ExitCode == 0, several.Error);
        AssertClose("sft-one", "sft-several");
        Assert.Equal(LossValues("sft-one")[^1], LossValues("sft-several")[^1], 1e-5);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task The_death_of_any_process_ends_the_job_with_a_sentence_and_a_resumed_one_continues_bit_for_bit(int victim)
    {
        string[] whole = ["--set", "training.dropout=0.1", "--set", "training.steps=40"];
        Assert.Equal(0, (await ConsoleHost.RunTogetherAsync(2, Arguments("whole", whole))).ExitCode);
        using (var job = ConsoleHost.StartTogether(2, Arguments("killed", [.. whole, "--set", "checkpoint.every_steps=4"])))
        {
            var read = (job.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken), job.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken));
            await WaitForStepAsync("killed", 9, job);
            Kill(Children(job)[victim]);
            var clock = Stopwatch.StartNew();
            await job.WaitForExitAsync(TestContext.Current.CancellationToken);
            Assert.NotEqual(0, job.ExitCode);
            Assert.InRange(clock.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(30));
            string error = await read.Item2;
            Assert.Contains($"process rank {victim} ", error);
            Assert.Contains("exited on signal 9 (Killed)", error);
        }
        Assert.InRange(LastCheckpoint("killed"), 4, 39);
        var resumed = await ConsoleHost.RunTogetherAsync(2, Arguments("killed", [.. whole, "--set", "checkpoint.every_steps=4", "--resume"]));
        Assert.True(resumed.ExitCode == 0, resumed.Error);
        Assert.Equal(Weights("whole"), Weights("killed"));
        Assert.Equal(Losses("whole"), Losses("killed"));
    }

    [Theory]
    [InlineData("-TERM", false)]
    [InlineData("-USR1", true)] // which mpirun passes on at once, unlike SIGTERM
    public async Task A_signal_to_one_process_or_to_mpirun_lets_all_save_and_stop_together(string signal, bool toMpirun)
    {
        using var job = ConsoleHost.StartTogether(2, Arguments("out", Long));
        var read = (job.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken), job.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken));
        await WaitForStepAsync("out", 4, job);
        using (var kill = Process.Start("kill", [signal, (toMpirun ? job.Id : Children(job)[1]).ToString(CultureInfo.InvariantCulture)]))
        {
            await kill.WaitForExitAsync(TestContext.Current.CancellationToken);
        }
        await job.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(130, job.ExitCode);
        Assert.Contains(string.Create(CultureInfo.InvariantCulture, $"Stopped at step {LastStep("out")} of 100000; go on with --resume."), await read.Item1);
        Assert.Equal(LastStep("out"), LastCheckpoint("out"));
    }

    [Theory]
    [InlineData(5, "training.batch_rows is 4 and there are 5 processes, so that some would have nothing to do; start at most 4, or raise training.batch_rows.")]
    [InlineData(3, "training.batch_rows is 4, which 3 processes cannot share evenly; make it a multiple of 3.")]
    public async Task More_processes_than_rows_are_refused_before_anything_is_done(int processes, string sentence)
    {
        var result = await ConsoleHost.RunTogetherAsync(processes, Arguments("out", []));
        Assert.Equal(2, result.ExitCode);
        Assert.Single(result.Error.Split('\n'), line => line == "error: " + sentence);
        Assert.DoesNotContain("tokenizer", result.Output);
    }

    [Fact]
    public async Task A_run_resumed_by_another_number_of_processes_is_warned_that_its_last_bits_differ()
    {
        Assert.Equal(0, (await PretrainAsync("out", "--set", "training.steps=10")).ExitCode);
        File.Delete(Files.PathOf("out", "manifest.json"));
        var result = await ConsoleHost.RunTogetherAsync(2, Arguments("out", ["--set", "training.steps=10", "--resume"]));
        Assert.True(result.ExitCode == 0, result.Error);
        Assert.Contains("Warning: the number of processes was 1 and is 2.", result.Output);
    }
}
