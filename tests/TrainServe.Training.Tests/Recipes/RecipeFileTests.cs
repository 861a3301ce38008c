using TrainServe.Core;
using TrainServe.TestSupport;
using TrainServe.Training.Optimization;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.Tests.Recipes;

public sealed class RecipeFileTests
{
    private const string Minimal = "training:\n  steps: 10\n";

    [Fact]
    public void Keys_that_are_not_written_have_their_defaults()
    {
        var recipe = Parse(Minimal);
        Assert.Equal(10, recipe.Training.Steps);
        Assert.Equal(8, recipe.Training.BatchRows);
        Assert.Equal(1e-3, recipe.Optimizer.LearningRate);
        Assert.Null(recipe.Model);
    }

    [Fact]
    public void Every_kind_of_value_is_read()
    {
        var recipe = Parse("""
            seed: 18446744073709551615
            model: { hidden_size: 64, intermediate_size: 128, num_hidden_layers: 2, num_attention_heads: 4, tie_word_embeddings: false, rope_theta: 1e4 }
            data:
              validation_rule: tail
              sources:
                - path: "a b.txt"   # quoted
                  weight: 2
                - { path: c.txt, weight: .5, name: see }
            training: { epochs: 1.5, dropout: 0.1 }
            optimizer: { schedule: wsd, learning_rate: 1.0e-3 }
            """);
        Assert.Equal(ulong.MaxValue, recipe.Seed);
        Assert.False(recipe.Model!.TieWordEmbeddings);
        Assert.Equal(10_000f, recipe.Model.RopeTheta);
        Assert.Equal(TrainServe.Training.Data.ValidationRule.Tail, recipe.Data.ValidationRule);
        Assert.Equal(["a b.txt", "c.txt"], recipe.Data.Sources.Select(source => source.Path));
        Assert.Equal([2, 0.5], recipe.Data.Sources.Select(source => source.Weight!.Value));
        Assert.Equal(1.5, recipe.Training.Epochs);
        Assert.Equal(ScheduleKind.Wsd, recipe.Optimizer.Schedule);
    }

    [Fact]
    public void A_section_keeps_the_defaults_of_the_recipe_that_it_is_in()
    {
        var recipe = RecipeFile.Parse<FineTuningRecipe>(Minimal + "optimizer:\n  warmup_steps: 3\n", "r.yaml");
        Assert.Equal(3e-4, recipe.Optimizer.LearningRate);
        Assert.Equal(3, recipe.Optimizer.WarmupSteps);
    }

    [Theory]
    [InlineData("training:\n  steps: 10\n  batch_row: 4", "r.yaml:3: training.batch_row is not a key of a recipe; did you mean batch_rows?")]
    [InlineData("training:\n  steps: 10\nzebra: 1", "r.yaml:3: zebra is not a key of a recipe; its keys are seed, tokenizer, model, data, training, optimizer, validation, checkpoint.")]
    [InlineData("training:\n  steps: ten", "r.yaml:2: training.steps is 'ten'; it must be a whole number.")]
    [InlineData("training:\n  steps: 0", "r.yaml:2: training.steps is 0; it must be at least 1.")]
    [InlineData("training:\n  steps: 1\n  epochs: 1", "r.yaml:2: training.steps is 1; it must not be set together with epochs.")]
    [InlineData("training: {}", "r.yaml:1: training.steps is missing; it must be set, unless epochs is.")]
    [InlineData("seed: 1", "r.yaml:1: training is missing.")]
    [InlineData("training:\n  steps: 1\noptimizer:\n  schedule: stairs", "r.yaml:4: optimizer.schedule is 'stairs'; it must be cosine, wsd, linear, constant.")]
    [InlineData("training:\n  steps: 1\noptimizer:\n  learning_rate: -1", "r.yaml:4: optimizer.learning_rate is -1; it must be above 0.")]
    [InlineData("training:\n  steps: 1\noptimizer: fast", "r.yaml:3: optimizer must be a section with keys of its own.")]
    [InlineData("training:\n  steps:\n", "r.yaml:2: training.steps is missing; it must be set, unless epochs is.")]
    [InlineData("training:\n  steps: 1\ndata:\n  sources:\n    - path: a\n      wieght: 1", "r.yaml:6: data.sources.0.wieght is not a key of a recipe; did you mean weight?")]
    [InlineData("training:\n  steps: 1\ndata:\n  sources: [{path: a, weight: 1}, {path: b}]", "r.yaml:4: data.sources is a list of 2 of which 1 have a weight; it must give every source a weight, or none.")]
    public void A_wrong_recipe_is_refused_with_file_line_and_key(string yaml, string message) =>
        Assert.Equal(message, Assert.Throws<RecipeException>(() => Parse(yaml)).Message);

    [Fact]
    public void Text_that_is_not_yaml_is_refused_with_its_line() =>
        Assert.StartsWith("r.yaml:2: the recipe is not valid YAML", Assert.Throws<RecipeException>(() => Parse("a: 1\n  b: [")).Message);

    [Fact]
    public void A_missing_file_is_named() =>
        Assert.Equal("none.yaml does not exist.", Assert.Throws<FileNotFoundException>(() => RecipeFile.Read<PretrainingRecipe>("none.yaml")).Message);

    [Fact]
    public void Set_replaces_a_value_makes_a_section_and_reaches_into_a_list()
    {
        var recipe = RecipeFile.Parse<PretrainingRecipe>(Minimal + "data:\n  sources:\n    - path: a\n", "r.yaml",
            ["training.steps=20", "tokenizer.vocab_size=512", "data.sources.0.path=b c", "validation.patience=3"]);
        Assert.Equal(20, recipe.Training.Steps);
        Assert.Equal(512, recipe.Tokenizer!.VocabSize);
        Assert.Equal("b c", recipe.Data.Sources[0].Path);
        Assert.Equal(3, recipe.Validation.Patience);
    }

    [Theory]
    [InlineData("training.stepz=1", "--set training.stepz=1: training.stepz is not a key of a recipe; did you mean steps?")]
    [InlineData("training.steps=-1", "--set training.steps=-1: training.steps is -1; it must be at least 1.")]
    [InlineData("training.steps", "--set training.steps: write it as section.key=value.")]
    [InlineData("data.sources.1.path=x", "--set data.sources.1.path=x: 1 is not the number of one of the 1 items of data.sources, counted from 0.")]
    public void A_wrong_option_is_refused_by_its_own_name(string option, string message) => Assert.Equal(message,
        Assert.Throws<RecipeException>(() => RecipeFile.Parse<PretrainingRecipe>(Minimal + "data:\n  sources:\n    - path: a\n", "r.yaml", [option])).Message);

    [Fact]
    public void Set_can_replace_every_key()
    {
        var keys = RecipeIdentity.Of(Parse(Minimal + "model: { hidden_size: 64, intermediate_size: 128, num_hidden_layers: 2, num_attention_heads: 4 }\ntokenizer: { vocab_size: 300 }\n"));
        foreach (var (key, value) in keys)
        {
            string yaml = Minimal + "model: { hidden_size: 64, intermediate_size: 128, num_hidden_layers: 2, num_attention_heads: 4 }\ntokenizer: { vocab_size: 300 }\n";
            string written = value is "True" or "False" ? value.ToLowerInvariant() : System.Text.Json.JsonNamingPolicy.SnakeCaseLower.ConvertName(value);
            Assert.Equal(keys, RecipeIdentity.Of(RecipeFile.Parse<PretrainingRecipe>(yaml, "r.yaml", [$"{key}={(char.IsAsciiLetter(value[0]) ? written : value)}"])));
        }
    }

    [Fact]
    public void The_identity_names_the_key_that_changed_and_ignores_what_changes_no_number()
    {
        var before = RecipeIdentity.Of(Parse(Minimal));
        Assert.Null(RecipeIdentity.Difference(before, RecipeIdentity.Of(Parse(Minimal + "checkpoint:\n  every_steps: 5\n"))));
        Assert.Equal("optimizer.beta2 was 0.99 and is now 0.95", RecipeIdentity.Difference(before, RecipeIdentity.Of(Parse(Minimal + "optimizer:\n  beta2: 0.95\n"))));
        Assert.Equal("training.micro_batch_rows was not set and is now 4", RecipeIdentity.Difference(before, RecipeIdentity.Of(Parse("training:\n  steps: 10\n  micro_batch_rows: 4\n"))));
    }

    [Fact]
    public void Every_recipe_that_is_shipped_can_be_read()
    {
        var files = Directory.GetFiles(RepositoryRoot.PathOf("models/recipes"), "*.yaml");
        Assert.NotEmpty(files);
        foreach (string file in files)
        {
            string stage = Path.GetFileNameWithoutExtension(file).Split('-')[^1];
            IRecipeSection recipe = stage switch
            {
                "sft" => RecipeFile.Read<FineTuningRecipe>(file),
                "reward" => RecipeFile.Read<RewardRecipe>(file),
                "dpo" => RecipeFile.Read<DpoRecipe>(file),
                "ppo" => RecipeFile.Read<PpoRecipe>(file),
                "grpo" => RecipeFile.Read<GrpoRecipe>(file),
                _ => RecipeFile.Read<PretrainingRecipe>(file),
            };
            Assert.NotEmpty(RecipeIdentity.Of(recipe));
        }
    }

    [Theory]
    [InlineData("ema_decay: 0.99", "training.ema_decay")]
    [InlineData("label_smoothing: 0.1", "training.label_smoothing")]
    [InlineData("z_loss: 0.0001", "training.z_loss")]
    [InlineData("skip_spikes: 4", "training.skip_spikes")]
    public void What_a_stage_over_pairs_does_not_do_is_refused_and_not_passed_over(string setting, string key)
    {
        string yaml = $"training: {{ steps: 1, {setting} }}";
        foreach (var error in new[] { Assert.Throws<RecipeException>(() => RecipeFile.Parse<RewardRecipe>(yaml, "r.yaml")), Assert.Throws<RecipeException>(() => RecipeFile.Parse<DpoRecipe>(yaml, "r.yaml")) })
        {
            Assert.Contains(key, error.Message, StringComparison.Ordinal);
            Assert.Contains("the loss of this stage is over pairs", error.Message, StringComparison.Ordinal);
        }
    }

    private static PretrainingRecipe Parse(string yaml) => RecipeFile.Parse<PretrainingRecipe>(yaml, "r.yaml");
}
