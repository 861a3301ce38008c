using System.Text.Json;
using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.TestSupport;
using TrainServe.Training.Loops;
using TrainServe.Training.Recipes;
using TrainServe.Training.Reinforcement;
using TrainServe.Training.Tests.Loops;

namespace TrainServe.Training.Tests.Reinforcement;

[Collection(TorchFixture.Generator)]
public sealed class PpoTrainerTests : StageRuns
{
    private const string RecipeText = """
        rollout: { prompts: 8, max_new_tokens: 6 }
        update: { iterations: 5, epochs: 2, minibatch_rows: 4, micro_batch_rows: 2 }
        ppo: { normalization_samples: 16 }
        optimizer: { learning_rate: 0.003, min_learning_rate: 0.001 }
        value_optimizer: { learning_rate: 0.003, min_learning_rate: 0.001 }
        checkpoint: { every_steps: 2 }
        """;

    public PpoTrainerTests()
        : base(RecipeText, "prompts.jsonl", "policy", "reward")
    {
        var config = TinyModels.Config(TinyPackages.VocabSize, hiddenSize: 32, intermediateSize: 64, maxPositions: 32);
        TinyPackages.Write(Files.PathOf("policy"), config);
        TinyPackages.Write(Files.PathOf("reward"), config with { Architectures = [ModelConfig.RewardModel], NumLabels = 1 }, seed: 3);
        // Prompts of different lengths: shorter ones are padded at their start while sampling.
        File.WriteAllLines(Files.PathOf("prompts.jsonl"), Enumerable.Range(0, 24).Select(i => $$"""{"prompt":"Q{{new string('?', i % 5)}}{{i}}"}"""));
    }

    [Fact]
    public void Rewards_rise_and_everything_is_logged()
    {
        LikeA();
        var (outcome, package) = Run("out", overrides: ["update.iterations=12", "update.epochs=4", "kl.coefficient=0", "rollout.prompts=24", "update.minibatch_rows=12", "update.micro_batch_rows=12", "ppo.missing_end_penalty=0"]);
        package!.Verify();
        Assert.Equal(TrainingEnd.Completed, outcome.End);
        Assert.Equal("ppo", package.Manifest!.Lineage.Stage);
        var lines = Metrics("out");
        double Reward(IEnumerable<JsonElement> some) => some.Average(line => line.GetProperty("reward").GetDouble());
        // About half of the answers end in a at first.
        Assert.InRange(Reward(lines.Take(1)), -0.7, 0.7);
        // The reference stays what the policy was.
        Assert.Equal(0, lines[0].GetProperty("kl").GetDouble(), 1e-4);
        Assert.True(lines[^1].GetProperty("kl").GetDouble() > 0.01, $"{lines[^1].GetProperty("kl")}");
        Assert.True(Reward(lines.OrderByDescending(line => line.GetProperty("reward").GetDouble()).Take(3)) > 0.8, string.Join(' ', lines.Select(line => line.GetProperty("reward").GetDouble())));
        foreach (string name in new[] { "kl", "entropy", "clip_fraction", "explained_variance", "length", "value_loss", "kl_coefficient", "distinct_2", "ended", "gradient_norm", "sample_1" })
        {
            Assert.True(lines[0].TryGetProperty(name, out _), name);
        }
    }

    [Fact]
    public void Before_the_first_update_of_a_step_nothing_is_clipped_and_sampler_and_trainer_agree()
    {
        Run("out");
        foreach (var line in Metrics("out"))
        {
            Assert.Equal(0, line.GetProperty("first_clip_fraction").GetDouble());
            Assert.Equal(0, line.GetProperty("first_approximate_kl").GetDouble(), 1e-5);
            Assert.InRange(line.GetProperty("sampler_difference").GetDouble(), 0, 1e-4);
        }
        // Policy and reference are the same at first.
        Assert.Equal(0, Metrics("out")[0].GetProperty("kl").GetDouble(), 1e-4);
    }

    [Fact]
    public void The_temperature_is_the_same_for_old_new_and_reference_probabilities()
    {
        Run("out", overrides: ["update.iterations=1", "rollout.temperature=0.6"]);
        var line = Metrics("out")[0];
        Assert.Equal(0, line.GetProperty("first_clip_fraction").GetDouble());
        Assert.Equal(0, line.GetProperty("first_approximate_kl").GetDouble(), 1e-5);
        Assert.Equal(0, line.GetProperty("kl").GetDouble(), 1e-4);
    }

    [Theory]
    [InlineData("fixed")]
    [InlineData("adaptive")]
    public void A_run_that_is_killed_goes_on_and_gives_the_same_model_and_the_same_numbers(string control)
    {
        string[] overrides = [$"kl.control={control}", "kl.horizon=20", "kl.target=0.5"];
        var (_, whole) = Run("whole", overrides: overrides);
        Assert.Throws<TimeoutException>(() => Run("out", display: new FailingDisplay(3), overrides: overrides));
        var (_, resumed) = Run("out", resume: true, overrides: overrides);
        Assert.Equal(File.ReadAllBytes(whole!.WeightsPath), File.ReadAllBytes(resumed!.WeightsPath));
        foreach (string name in new[] { "kl_coefficient", "reward", "value_loss", "sample_2" })
        {
            Assert.Equal(Metrics("whole").Select(line => line.GetProperty(name).ToString()), Metrics("out").Select(line => line.GetProperty(name).ToString()));
        }
    }

    [Fact]
    public void Smaller_micro_batches_change_nothing_but_the_last_bits()
    {
        Run("one", overrides: ["update.iterations=1", "update.micro_batch_rows=4"]);
        Run("four", overrides: ["update.iterations=1", "update.micro_batch_rows=1"]);
        Assert.Equal(Display.Steps[0].Loss, Display.Steps[1].Loss, 1e-4);
        Assert.Equal(Display.Steps[0].GradientNorm, Display.Steps[1].GradientNorm, 1e-2);
    }

    [Fact]
    public void The_first_policys_scores_are_made_normal()
    {
        Run("out", overrides: ["update.iterations=1", "ppo.normalization_samples=64", "ppo.missing_end_penalty=0", "rollout.prompts=24"]);
        Assert.Contains(Display.Notes, note => note.Contains("of 64 answers of the first policy have mean 0", StringComparison.Ordinal));
        // 24 other answers: their mean has a standard deviation of a fifth.
        Assert.InRange(Metrics("out")[0].GetProperty("score").GetDouble(), -1, 1);
    }

    [Fact]
    public void An_answer_that_does_not_end_is_charged_the_penalty()
    {
        double Score(string output, double penalty)
        {
            Run(output, overrides: ["update.iterations=1", $"ppo.missing_end_penalty={penalty}"]);
            return Metrics(output)[0].GetProperty("score").GetDouble();
        }
        double cutOff = 1 - Metrics0("free").GetProperty("ended").GetDouble();
        Assert.True(cutOff > 0);
        Assert.Equal(3 * cutOff, Score("none", 0) - Score("three", 3), 1e-6);

        JsonElement Metrics0(string output)
        {
            Run(output, overrides: ["update.iterations=1"]);
            return Metrics(output)[0];
        }
    }

    [Fact]
    public void A_reward_model_of_another_tokenizer_and_a_language_model_in_its_place_are_refused()
    {
        Assert.Contains("is no reward model: it has no score", Assert.Throws<InvalidDataException>(() => Prepare(Options("out") with { RewardModel = Files.PathOf("policy") })).Message, StringComparison.Ordinal);
        string tokenizer = Files.PathOf("reward", "tokenizer.json");
        File.WriteAllText(tokenizer, File.ReadAllText(tokenizer) + " ");
        File.Delete(Files.PathOf("reward", "manifest.json"));
        Assert.Contains("was made with another tokenizer than", Assert.Throws<InvalidDataException>(() => Prepare(Options("out"))).Message, StringComparison.Ordinal);
        Assert.Contains("give --reward DIR", Assert.Throws<RecipeException>(() => Prepare(Options("out") with { RewardModel = null })).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Prompts_that_leave_no_room_for_an_answer_are_left_out_and_counted()
    {
        File.AppendAllLines(Files.PathOf("prompts.jsonl"), [$$"""{"prompt":"{{new string('x', 40)}}"}"""]);
        using var run = Prepare(Options("out"));
        Assert.Contains("24 prompts, 0 held out, 1 left out because they are longer than 26 tokens", Assert.Single(run.Plan.Notes), StringComparison.Ordinal);
        Assert.Contains("have a context of 32 tokens".Replace("have", "has", StringComparison.Ordinal),
            Assert.Throws<RecipeException>(() => Prepare(Options("out", overrides: ["data.max_prompt_tokens=30"]))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Held_out_prompts_measure_what_is_maximized()
    {
        Run("out", overrides: ["data.validation_fraction=0.3", "validation.every_steps=2"]);
        // Before the first step, after steps 2 and 4, and at the end.
        Assert.Equal(4, Display.Validations.Count);
    }

    [Fact]
    public void Returns_are_made_of_advantages_before_these_are_whitened()
    {
        Run("out", overrides: ["update.iterations=2"]);
        foreach (var line in Metrics("out"))
        {
            // Whitened advantages would have the mean 0.
            double advantage = line.GetProperty("advantage_mean").GetDouble();
            Assert.NotEqual(0, advantage, 1e-3);
            Assert.Equal(advantage + line.GetProperty("value_mean").GetDouble(), line.GetProperty("return_mean").GetDouble(), 1e-5);
        }
    }

    [Fact]
    public void A_reward_model_that_gives_no_number_is_told_with_file_and_line_and_nothing_is_learned()
    {
        RandomWeights.Write(Files.PathOf("reward", "model.safetensors"), ModelPackage.Open(Files.PathOf("reward")).Config, 3, (name, values) =>
        {
            if (name is "score.weight")
            {
                values[0] = float.NaN;
            }
        });
        File.Delete(Files.PathOf("reward", "manifest.json"));
        string message = Assert.Throws<InvalidDataException>(() => Run("out")).Message;
        Assert.Contains("prompts.jsonl:", message, StringComparison.Ordinal);
        Assert.Contains("the reward model gives NaN", message, StringComparison.Ordinal);
        Assert.Empty(Display.Steps);
    }

    // A policy that says a or b, and a reward model that looks at the last token alone: 1 for a, -1 for all others.
    private void LikeA()
    {
        const int width = 32;
        var config = ModelPackage.Open(Files.PathOf("policy")).Config;
        RandomWeights.Write(Files.PathOf("policy", "model.safetensors"), config, 1, (name, values) =>
        {
            for (int row = 0; row < config.VocabSize && name is "model.embed_tokens.weight" or "lm_head.weight"; row++)
            {
                // Every hidden state is large in its first place.
                values[row * width] = name is "lm_head.weight" ? row is 'a' or 'b' ? 0 : -10 : 5;
            }
        });
        RandomWeights.Write(Files.PathOf("reward", "model.safetensors"), ModelPackage.Open(Files.PathOf("reward")).Config, 3, (name, values) =>
        {
            for (int i = 0; i < values.Length; i++)
            {
                values[i] = name is "model.embed_tokens.weight" ? i / width == 'a' ? 1 : -1
                    : name is "score.weight" ? 1f / width
                    : name.EndsWith("o_proj.weight", StringComparison.Ordinal) || name.EndsWith("down_proj.weight", StringComparison.Ordinal) ? 0
                    : name.EndsWith("norm.weight", StringComparison.Ordinal) ? 1 : values[i];
            }
        });
        File.Delete(Files.PathOf("policy", "manifest.json"));
        File.Delete(Files.PathOf("reward", "manifest.json"));
    }

    protected override ITrainingRun Begin(RunOptions options, ITrainingDisplay display) => PpoTrainer.Prepare(options, Recipe<PpoRecipe>(options), display, TimeProvider.System);
}
