using System.Text.Json;
using TorchSharp;
using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Model;
using TrainServe.TestSupport;
using TrainServe.Training.FineTuning;
using TrainServe.Training.FineTuning.Lora;
using TrainServe.Training.Loops;
using TrainServe.Training.Recipes;
using TrainServe.Training.Tests.Loops;
using static TorchSharp.torch;

namespace TrainServe.Training.Tests.FineTuning;

[Collection(TorchFixture.Generator)]
public sealed class LoraTests : StageRuns
{
    private const string RecipeText = """
        data: { validation_fraction: 0 }
        training: { steps: 10, batch_rows: 2, micro_batch_rows: 1 }
        lora: { rank: 4, alpha: 8 }
        optimizer: { learning_rate: 0.01, warmup_steps: 2, weight_decay: 0 }
        checkpoint: { every_steps: 3 }
        """;

    public LoraTests()
        : base(RecipeText, "talks.jsonl", "base")
    {
        TinyPackages.Write(Files.PathOf("base"), TinyModels.Config(TinyPackages.VocabSize, hiddenSize: 32, intermediateSize: 64));
        Files.WriteText("talks.jsonl", """
            {"messages":[{"role":"user","content":"Cat?"},{"role":"assistant","content":"Meow"}]}
            {"messages":[{"role":"user","content":"Dog?"},{"role":"assistant","content":"Woof"}]}
            """);
    }

    [Fact]
    public void Adapters_begin_without_an_effect_and_their_gradients_are_those_of_the_product()
    {
        using var model = Transformer.Load(ModelPackage.Open(Files.PathOf("base")));
        using var adapters = new LoraAdapters(model, new LoraSection { Rank = 2, Alpha = 6, Targets = ["k_proj"] }, seed: 1);
        using var scope = NewDisposeScope();
        using var before = StateDictAdapter.View(model, WeightNames.Key(0)).clone();
        adapters.Apply();
        Assert.True(before.equal(StateDictAdapter.View(model, WeightNames.Key(0))).all().item<bool>());
        // Of the first layer; the second's follow.
        var (a, b) = (adapters.Parameters.First().Weight, adapters.Parameters.ElementAt(1).Weight);
        Assert.Equal([2, 32], a.shape);
        Assert.Equal([16, 2], b.shape);
        using (no_grad())
        {
            b.fill_(LiveScalar.Of(0.01));
        }
        adapters.Apply();
        model.forward(tensor(new long[] { 1, 2, 3 }).unsqueeze(0)).Squared().sum().backward();
        var gradient = StateDictAdapter.GradientView(model, WeightNames.Key(0))!.clone();
        adapters.TakeGradients();
        using var noGradient = no_grad();
        // alpha / r = 3
        Assert.True(a.grad!.allclose(LiveScalar.Of(3) * b.t().matmul(gradient)));
        Assert.True(b.grad!.allclose(LiveScalar.Of(3) * gradient.matmul(a.t())));
        Assert.True(a.grad!.abs().max().item<float>() > 0);
    }

    [Fact]
    public void A_model_learns_by_adapters_alone_and_merging_them_gives_the_same_weights()
    {
        var (_, package) = Run("out", overrides: ["training.steps=80", "training.micro_batch_rows=2", "lora.rank=8", "optimizer.learning_rate=0.02"]);
        Assert.True(Display.Steps[^1].Loss < 0.3 * Display.Steps[0].Loss, $"{Display.Steps[0].Loss} {Display.Steps[^1].Loss}");
        using var weights = package!.OpenWeights();
        using var first = ModelPackage.Open(Files.PathOf("base")).OpenWeights();
        // What has no adapter stays.
        Assert.Equal(first.ReadSingles("model.embed_tokens.weight"), weights.ReadSingles("model.embed_tokens.weight"));
        Assert.NotEqual(first.ReadSingles("model.layers.1.mlp.up_proj.weight"), weights.ReadSingles("model.layers.1.mlp.up_proj.weight"));
        using var merged = Transformer.Load(ModelPackage.Open(Files.PathOf("base")));
        PeftAdapter.Merge(merged, Files.PathOf("out", "adapter"));
        using var scope = NewDisposeScope();
        Assert.Equal(weights.ReadSingles("model.layers.0.self_attn.v_proj.weight"), StateDictAdapter.View(merged, WeightNames.Value(0)).data<float>().ToArray());
    }

    [Fact]
    public void The_adapters_have_pefts_names_and_keys()
    {
        Run("out", overrides: ["training.steps=1"]);
        using var file = SafeTensorsReader.Open(Files.PathOf("out", "adapter", "adapter_model.safetensors"));
        Assert.Equal([4, 32], file.Entries["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"].Shape);
        Assert.Equal([64, 4], file.Entries["base_model.model.model.layers.1.mlp.gate_proj.lora_B.weight"].Shape);
        Assert.Equal(2 * 7 * 2, file.Entries.Count);
        using var config = JsonDocument.Parse(File.ReadAllText(Files.PathOf("out", "adapter", "adapter_config.json")));
        Assert.Equal("LORA", config.RootElement.GetProperty("peft_type").GetString());
        Assert.Equal(4, config.RootElement.GetProperty("r").GetInt32());
        Assert.Equal(8, config.RootElement.GetProperty("lora_alpha").GetDouble());
        Assert.Equal(7, config.RootElement.GetProperty("target_modules").GetArrayLength());
    }

    [Fact]
    public void A_run_that_is_killed_goes_on_and_gives_the_same_model()
    {
        var (_, whole) = Run("whole");
        Assert.Throws<TimeoutException>(() => Run("out", display: new FailingDisplay(8)));
        var (_, resumed) = Run("out", resume: true);
        Assert.Equal(File.ReadAllBytes(whole!.WeightsPath), File.ReadAllBytes(resumed!.WeightsPath));
    }

    [Theory]
    [InlineData("peft_type", "\"IA3\"", "peft_type is IA3; it must be LORA")]
    [InlineData("bias", "\"all\"", "bias is all; it must be none")]
    [InlineData("target_modules", "[\"lm_head\"]", "target_modules is lm_head; it must be of q_proj")]
    [InlineData("r", "3", "is missing or has another shape than [3, 32]")]
    public void An_adapter_that_cannot_be_merged_is_refused(string key, string value, string rule)
    {
        Run("out", overrides: ["training.steps=1"]);
        string path = Files.PathOf("out", "adapter", "adapter_config.json");
        var config = System.Text.Json.Nodes.JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        config[key] = System.Text.Json.Nodes.JsonNode.Parse(value);
        File.WriteAllText(path, config.ToJsonString());
        using var model = Transformer.Load(ModelPackage.Open(Files.PathOf("base")));
        Assert.Contains(rule, Assert.Throws<InvalidDataException>(() => PeftAdapter.Merge(model, Files.PathOf("out", "adapter"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_matrix_that_can_have_no_adapter_is_refused() => Assert.Contains("targets is embed_tokens; it must be of q_proj",
        Assert.Throws<RecipeException>(() => Prepare(Options("out", overrides: ["lora.targets=[embed_tokens]"]))).Message, StringComparison.Ordinal);

    protected override ITrainingRun Begin(RunOptions options, ITrainingDisplay display) => SftLoop.Prepare(options, Recipe<FineTuningRecipe>(options), Work(options), display, TimeProvider.System);
}
