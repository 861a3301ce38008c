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
public sealed class GrpoTrainerTests : StageRuns
{
    private const string RecipeText = """
        rollout: { prompts: 4, max_new_tokens: 4 }
        update: { iterations: 5, epochs: 1, minibatch_rows: 8, micro_batch_rows: 4 }
        grpo: { group_size: 4 }
        rewards:
          - { kind: format, pattern: "[a-z].*" }
        optimizer: { learning_rate: 0.003, min_learning_rate: 0.001 }
        checkpoint: { every_steps: 2 }
        """;

    public GrpoTrainerTests()
        : base(RecipeText, "prompts.jsonl", "policy")
    {
        TinyPackages.Write(Files.PathOf("policy"), TinyModels.Config(TinyPackages.VocabSize, hiddenSize: 32, intermediateSize: 64, maxPositions: 32));
        File.WriteAllLines(Files.PathOf("prompts.jsonl"), Enumerable.Range(0, 24).Select(i => $$"""{"context":"{{i}}+1=","continuation":"{{i + 1}}"}"""));
    }

    [Theory]
    [InlineData("grpo", "tokens", "penalize")]
    [InlineData("dr_grpo", "constant", "keep")]
    [InlineData("rloo", "tokens", "keep")]
    public void Answers_come_to_be_what_is_rewarded(string advantage, string normalization, string truncated)
    {
        var (_, package) = Run("out", overrides:
        [
            "update.iterations=30", "rollout.prompts=8", "update.minibatch_rows=32", "update.micro_batch_rows=32", "optimizer.learning_rate=0.01",
            $"grpo.advantage={advantage}", $"grpo.normalization={normalization}", $"grpo.truncated={truncated}",
        ]);
        package!.Verify();
        var rewards = Metrics("out").Select(line => line.GetProperty("reward").GetDouble()).ToList();
        Assert.True(rewards.TakeLast(5).Average() > rewards.Take(5).Average() + 0.15, string.Join(' ', rewards));
    }

    [Fact]
    public void A_run_that_is_killed_goes_on_and_gives_the_same_model()
    {
        string[] overrides = ["grpo.kl_coefficient=0.1"];
        var (_, whole) = Run("whole", overrides: overrides);
        Assert.Throws<TimeoutException>(() => Run("out", display: new FailingDisplay(3), overrides: overrides));
        var (_, resumed) = Run("out", resume: true, overrides: overrides);
        Assert.Equal(File.ReadAllBytes(whole!.WeightsPath), File.ReadAllBytes(resumed!.WeightsPath));
    }

    [Fact]
    public void Judgements_that_could_not_be_made_are_counted_on_when_a_run_goes_on()
    {
        File.WriteAllLines(Files.PathOf("prompts.jsonl"), Enumerable.Range(0, 12).Select(i => $$"""{"context":"{{(i % 2 == 0 ? $"no sum {i}" : $"{i}+1=")}}","continuation":"2"}"""));
        string[] overrides = ["rewards=[{kind: arithmetic}]", "on_reward_error=zero"];
        Run("whole", overrides: overrides);
        Assert.Throws<TimeoutException>(() => Run("out", display: new FailingDisplay(3), overrides: overrides));
        Run("out", resume: true, overrides: overrides);
        double[] errors = [.. Metrics("whole").Select(line => line.GetProperty("reward_errors").GetDouble())];
        Assert.True(errors[^1] > errors[0], string.Join(' ', errors));
        Assert.Equal(errors, Metrics("out").Select(line => line.GetProperty("reward_errors").GetDouble()));
    }

    [Fact]
    public void Groups_without_spread_change_no_weight()
    {
        // Every answer gets 1, and none is charged for its length.
        var (_, package) = Run("out", overrides: ["rewards.0.pattern=\"(?s).*\"", "grpo.truncated=keep", "update.iterations=1"]);
        Assert.Equal(1, Metrics("out")[0].GetProperty("flat_groups").GetDouble());
        Assert.Equal(0, Display.Steps[0].GradientNorm);
        Assert.Equal(File.ReadAllBytes(Files.PathOf("policy", "model.safetensors")), File.ReadAllBytes(package!.WeightsPath));
    }

    [Fact]
    public void Nothing_is_learned_from_truncated_answers_where_they_are_masked()
    {
        // No answer of this policy ends within one token.
        var (_, package) = Run("out", overrides: ["grpo.truncated=mask", "rollout.max_new_tokens=1", "update.iterations=1"]);
        var line = Metrics("out")[0];
        Assert.Equal(1 - line.GetProperty("ended").GetDouble(), line.GetProperty("masked").GetDouble());
        Assert.Equal(1, line.GetProperty("masked").GetDouble());
        Assert.Equal(File.ReadAllBytes(Files.PathOf("policy", "model.safetensors")), File.ReadAllBytes(package!.WeightsPath));
    }

    [Fact]
    public void A_record_that_cannot_be_judged_is_named_before_the_first_step()
    {
        File.AppendAllLines(Files.PathOf("prompts.jsonl"), ["""{"context":"no sum","continuation":"none"}"""]);
        var error = Assert.Throws<InvalidDataException>(() => Run("out", overrides: ["rewards=[{kind: arithmetic}]"]));
        Assert.Contains("prompts.jsonl:25: the reward arithmetic cannot judge an answer: the prompt holds no sum", error.Message, StringComparison.Ordinal);
        Run("lenient", overrides: ["rewards=[{kind: arithmetic}]", "on_reward_error=zero", "update.iterations=1"]);
        Assert.Contains(Display.Notes, note => note.StartsWith("1 prompts cannot be judged", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("update.minibatch_rows=6", "must be a multiple of grpo.group_size, 4: groups stay whole")]
    [InlineData("rewards=[]", "must have at least one item")]
    [InlineData("rewards=[{kind: format}]", "must be set for the kind format")]
    [InlineData("grpo.group_size=1", "must be from 2")]
    public void A_recipe_that_cannot_be_is_refused(string change, string rule) =>
        Assert.Contains(rule, Assert.Throws<RecipeException>(() => Prepare(Options("out", overrides: [change]))).Message, StringComparison.Ordinal);

    [Fact]
    public void A_reward_model_is_asked_for_where_the_recipe_names_one() =>
        Assert.Contains("give --reward DIR", Assert.Throws<RecipeException>(() => Prepare(Options("out", overrides: ["rewards=[{kind: model}]"]))).Message, StringComparison.Ordinal);

    [Fact]
    public void A_reward_model_of_another_tokenizer_and_a_language_model_in_its_place_are_refused()
    {
        var config = TinyModels.Config(TinyPackages.VocabSize, hiddenSize: 32, intermediateSize: 64, maxPositions: 32);
        var options = Options("out", overrides: ["rewards=[{kind: model}]"]);
        Assert.Contains("is no reward model: it has no score", Assert.Throws<InvalidDataException>(() => Prepare(options with { RewardModel = Files.PathOf("policy") })).Message, StringComparison.Ordinal);
        TinyPackages.Write(Files.PathOf("reward"), config with { Architectures = [ModelConfig.RewardModel], NumLabels = 1 }, seed: 3);
        string tokenizer = Files.PathOf("reward", "tokenizer.json");
        File.WriteAllText(tokenizer, File.ReadAllText(tokenizer) + " ");
        File.Delete(Files.PathOf("reward", "manifest.json"));
        Assert.Contains("was made with another tokenizer than", Assert.Throws<InvalidDataException>(() => Prepare(options with { RewardModel = Files.PathOf("reward") })).Message, StringComparison.Ordinal);
        Assert.Contains("was made with another tokenizer than", Assert.Throws<InvalidDataException>(() =>
            new BestOfN(ModelPackage.Open(Files.PathOf("policy")), ModelPackage.Open(Files.PathOf("reward")), samples: 2, new RolloutSection(), seed: 1)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_best_of_several_answers_is_the_one_with_the_highest_score()
    {
        var config = TinyModels.Config(TinyPackages.VocabSize, hiddenSize: 32, intermediateSize: 64, maxPositions: 32) with { Architectures = [ModelConfig.RewardModel], NumLabels = 1 };
        var reward = TinyPackages.Write(Files.PathOf("reward"), config, seed: 3);
        using var best = new BestOfN(ModelPackage.Open(Files.PathOf("policy")), reward, samples: 5, new RolloutSection { MaxNewTokens = 4 }, seed: 1);
        var prompts = Core.Data.PromptReader.ReadAll([Files.PathOf("prompts.jsonl")], Core.Data.BadRecords.Strict()).Take(3).ToList();
        var ranked = best.Answer(prompts).ToList();
        Assert.Equal(3, ranked.Count);
        Assert.All(ranked, answers =>
        {
            Assert.Equal(5, answers.Answers.Count);
            Assert.Equal(answers.Answers.Max(answer => answer.Score), answers.Answers[0].Score);
        });
    }

    protected override ITrainingRun Begin(RunOptions options, ITrainingDisplay display) => GrpoTrainer.Prepare(options, Recipe<GrpoRecipe>(options), display, TimeProvider.System);
}
