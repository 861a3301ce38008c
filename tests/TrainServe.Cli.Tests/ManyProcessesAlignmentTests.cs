using System.Globalization;
using TrainServe.Core;
using TrainServe.TestSupport;

namespace TrainServe.Cli.Tests;

/// <summary>Stages of alignment, and adapters, under mpirun: several processes, one model.</summary>
public sealed class ManyProcessesAlignmentTests : PretrainingRuns
{
    // As for pretraining: updates in proportion to gradients.
    private const string Optimizer = "{ learning_rate: 0.2, epsilon: 1, warmup_steps: 0 }";
    private const string Pairs = $$"""
        data: { validation_fraction: 0.2 }
        training: { steps: 6, batch_rows: 8, precision: float32 }
        optimizer: {{Optimizer}}
        validation: { every_steps: 3 }
        """;

    private const string Adapters = $$"""
        data: { validation_fraction: 0.2 }
        training: { steps: 6, batch_rows: 4, precision: float32 }
        lora: { rank: 4, alpha: 8 }
        optimizer: {{Optimizer}}
        validation: { every_steps: 3 }
        """;

    private const string Ppo = $$"""
        data: { validation_fraction: 0.2 }
        rollout: { prompts: 8, max_new_tokens: 6 }
        update: { iterations: 5, epochs: 2, minibatch_rows: 4, precision: float32 }
        ppo: { normalization_samples: 16 }
        optimizer: {{Optimizer}}
        value_optimizer: {{Optimizer}}
        validation: { every_steps: 3 }
        """;

    private const string Grpo = $$"""
        data: { validation_fraction: 0.2 }
        rollout: { prompts: 4, max_new_tokens: 6 }
        update: { iterations: 5, epochs: 2, minibatch_rows: 8, precision: float32 }
        grpo: { group_size: 4, kl_coefficient: 0.1, truncated: keep }
        rewards:
          - { kind: format, pattern: "[^a].*" }
          - { kind: model, weight: 0.1 }
        optimizer: {{Optimizer}}
        validation: { every_steps: 3 }
        """;

    public ManyProcessesAlignmentTests()
    {
        Assert.SkipUnless(ConsoleHost.HasMpi, "mpirun is not installed (on Debian: openmpi-bin).");
        var config = TinyModels.Config(TinyPackages.VocabSize, hiddenSize: 32, intermediateSize: 64, maxPositions: 32);
        TinyPackages.Write(Files.PathOf("base"), config);
        TinyPackages.Write(Files.PathOf("judge"), config with { Architectures = [ModelConfig.RewardModel], NumLabels = 1 }, seed: 3);
        foreach (var (stage, recipe) in new[] { ("reward", Pairs), ("dpo", Pairs), ("sft", Adapters), ("ppo", Ppo), ("grpo", Grpo) })
        {
            Files.WriteText($"{stage}.yaml", recipe);
        }
        Lines("pairs.jsonl", i => $$"""{"prompt":"Q{{i}}","chosen":"yes {{new string('y', i % 7)}}","rejected":"no {{i}}"}""");
        Lines("talks.jsonl", i => $$"""{"messages":[{"role":"user","content":"{{i}}?"},{"role":"assistant","content":"{{new string('a', 1 + i % 9)}}"}]}""");
        Lines("prompts.jsonl", i => $$"""{"context":"{{new string('?', i % 5)}}{{i}}+1=","continuation":"{{i + 1}}"}""");
    }

    [Theory]
    [Trait("Category", "Slow")]
    [InlineData("reward")]
    [InlineData("dpo")]
    [InlineData("sft")]
    [InlineData("ppo")]
    [InlineData("grpo")]
    public async Task Two_processes_give_the_weights_of_one(string stage)
    {
        var one = await ConsoleHost.RunAsync(Stage(stage, "one"));
        Assert.True(one.ExitCode == 0, one.Error);
        var several = await ConsoleHost.RunTogetherAsync(2, Stage(stage, "several"));
        Assert.True(several.ExitCode == 0, several.Error);
        AssertClose("one", "several");
        Assert.Equal(LossValues("one").Length, LossValues("several").Length);
        Assert.All(LossValues("one").Zip(LossValues("several")), pair => Assert.Equal(pair.First, pair.Second, 1e-5));
        // One process speaks for all.
        Assert.Single(several.Output.Split('\n'), line => line.StartsWith("Done:", StringComparison.Ordinal));
        Assert.Contains("processes: 2, ", several.Output);
        Assert.Empty(several.Error);
    }

    [Theory]
    [Trait("Category", "Slow")]
    [InlineData("dpo", 1)]
    [InlineData("ppo", 0)]
    public async Task The_death_of_a_process_ends_the_job_with_a_sentence_and_a_resumed_one_continues_bit_for_bit(string stage, int victim)
    {
        string[] more = ["--set", stage == "dpo" ? "training.steps=60" : "update.iterations=60", "--set", "validation.every_steps=100", "--set", "checkpoint.every_steps=3"];
        Assert.Equal(0, (await ConsoleHost.RunTogetherAsync(2, Stage(stage, "whole", more))).ExitCode);
        using (var job = ConsoleHost.StartTogether(2, Stage(stage, "killed", more)))
        {
            var read = (job.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken), job.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken));
            await WaitForStepAsync("killed", 8, job);
            Kill(Children(job)[victim]);
            await job.WaitForExitAsync(TestContext.Current.CancellationToken);
            Assert.NotEqual(0, job.ExitCode);
            Assert.Contains($"process rank {victim} ", await read.Item2);
        }
        Assert.InRange(LastCheckpoint("killed"), 3, 59);
        var resumed = await ConsoleHost.RunTogetherAsync(2, Stage(stage, "killed", [.. more, "--resume"]));
        Assert.True(resumed.ExitCode == 0, resumed.Error);
        Assert.Equal(Weights("whole"), Weights("killed"));
        Assert.Equal(Losses("whole"), Losses("killed"));
    }

    [Fact]
    public async Task More_processes_than_prompts_are_refused()
    {
        var result = await ConsoleHost.RunTogetherAsync(5, Stage("grpo", "out"));
        Assert.Equal(2, result.ExitCode);
        Assert.Single(result.Error.Split('\n'), line => line == "error: rollout.prompts is 4 and there are 5 processes, so that some would have nothing to do; start at most 4, or raise rollout.prompts.");
    }

    private string[] Stage(string stage, string output, params string[] more) =>
    [
        stage, "--recipe", Files.PathOf($"{stage}.yaml"), "--data", Files.PathOf(stage switch { "reward" or "dpo" => "pairs.jsonl", "sft" => "talks.jsonl", _ => "prompts.jsonl" }),
        "--model", Files.PathOf("base"), "--output", Files.PathOf(output), "--threads", "1", .. stage is "ppo" or "grpo" ? new[] { "--reward", Files.PathOf("judge") } : [], .. more,
    ];

    private void Lines(string file, Func<int, string> line) => Files.WriteText(file, string.Concat(Enumerable.Range(0, 48).Select(i => string.Create(CultureInfo.InvariantCulture, $"{line(i)}\n"))));
}
