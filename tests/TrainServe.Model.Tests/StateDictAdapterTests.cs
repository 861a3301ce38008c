using TorchSharp;
using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.TestSupport;

namespace TrainServe.Model.Tests;

public sealed class StateDictAdapterTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Weights_survive_a_file_bit_for_bit(bool tied)
    {
        using var model = RandomModels.Create(TinyModels.Config(tied: tied));
        string path = Write(StateDictAdapter.Save(model));
        using var other = RandomModels.Create(TinyModels.Config(tied: tied), seed: 99);
        using (var reader = SafeTensorsReader.Open(path))
        {
            StateDictAdapter.Load(other, reader);
            Assert.Equal(WeightNames.Expected(model.Config).Select(weight => weight.Name), reader.Entries.Values.OrderBy(entry => entry.Offset).Select(entry => entry.Name));
        }
        Assert.Equal(RandomModels.Weights(model), RandomModels.Weights(other));
        string again = Write(StateDictAdapter.Save(other), "again.safetensors");
        Assert.Equal(File.ReadAllBytes(path), File.ReadAllBytes(again));
    }

    [Fact]
    public void A_reward_model_keeps_its_head()
    {
        using var model = RandomModels.Create(TinyModels.RewardModel());
        using var other = RandomModels.Create(TinyModels.RewardModel(), seed: 99);
        using var reader = SafeTensorsReader.Open(Write(StateDictAdapter.Save(model)));
        StateDictAdapter.Load(other, reader);
        Assert.Equal(RandomModels.Weights(model)["score.weight"], RandomModels.Weights(other)["score.weight"]);
    }

    [Fact]
    public void A_view_is_the_part_of_the_fused_matrix_that_its_name_says()
    {
        using var scope = torch.NewDisposeScope();
        using var model = RandomModels.Create(TinyModels.Config());
        var fused = model.named_parameters().Single(weight => weight.name == "blocks.1.attention.qkv").parameter;
        // 4 query heads and 2 key-value heads of size 4: rows 0 to 15, 16 to 23, 24 to 31.
        Assert.True(StateDictAdapter.View(model, WeightNames.Query(1)).equal(fused.narrow(0, 0, 16)).all().item<bool>());
        Assert.True(StateDictAdapter.View(model, WeightNames.Key(1)).equal(fused.narrow(0, 16, 8)).all().item<bool>());
        Assert.True(StateDictAdapter.View(model, WeightNames.Value(1)).equal(fused.narrow(0, 24, 8)).all().item<bool>());
        Assert.Throws<KeyNotFoundException>(() => StateDictAdapter.View(model, "model.layers.2.input_layernorm.weight"));
    }

    [Fact]
    public void Bfloat16_weights_are_written_rounded_and_read_into_any_type()
    {
        using var scope = torch.NewDisposeScope();
        using var model = RandomModels.Create(TinyModels.Config());
        string path = Write(StateDictAdapter.Save(model, SafeTensorType.BF16));
        var rounded = RandomModels.Weights(model).ToDictionary(weight => weight.Key,
            weight => weight.Value.Select(value => BFloat16Bits.Widen(BFloat16Bits.Round(value))).ToArray(), StringComparer.Ordinal);
        foreach (var dtype in (torch.ScalarType[])[torch.ScalarType.Float32, torch.ScalarType.BFloat16])
        {
            using var other = RandomModels.Create(TinyModels.Config(), dtype, seed: 99);
            using var reader = SafeTensorsReader.Open(path);
            StateDictAdapter.Load(other, reader);
            Assert.Equal(rounded, RandomModels.Weights(other));
        }
    }

    [Fact]
    public void A_bfloat16_model_computes_nearly_what_the_float32_model_does()
    {
        using var scope = torch.NewDisposeScope();
        using var model = RandomModels.Create(TinyModels.Config());
        using var half = RandomModels.Create(TinyModels.Config(), torch.ScalarType.BFloat16);
        using var reader = SafeTensorsReader.Open(Write(StateDictAdapter.Save(model, SafeTensorType.BF16)));
        StateDictAdapter.Load(half, reader);
        StateDictAdapter.Load(model, reader);
        var ids = RandomModels.Batch(RandomModels.Ids(8, 32));
        var difference = (model.call(ids) - half.call(ids).to(torch.ScalarType.Float32)).abs().mean().item<float>();
        // bfloat16 has 8 bits: about 0.4 % of logits that are about 1.
        Assert.InRange(difference, 1e-5f, 0.03f);
    }

    [Fact]
    public void A_missing_an_unknown_and_a_misshapen_weight_are_named_with_their_file()
    {
        using var model = RandomModels.Create(TinyModels.Config());
        var all = StateDictAdapter.Save(model);
        Refused([.. all.Where(tensor => tensor.Name != "model.norm.weight")], "model.norm.weight");
        Refused([.. all, SafeTensor.Singles("model.extra.weight", [1], new float[1])], "model.extra.weight");
        Refused([.. all.Select(tensor => tensor.Name == "lm_head.weight" ? SafeTensor.Singles(tensor.Name, [32, 15], new float[480]) : tensor)], "lm_head.weight");

        void Refused(IReadOnlyList<SafeTensor> tensors, string name)
        {
            string path = Write(tensors, "bad.safetensors");
            using var reader = SafeTensorsReader.Open(path);
            var error = Assert.Throws<InvalidDataException>(() => StateDictAdapter.Load(model, reader));
            Assert.Contains(name, error.Message, StringComparison.Ordinal);
            Assert.Contains(path, error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Only_float32_and_bfloat16_are_written()
    {
        using var model = RandomModels.Create(TinyModels.Config());
        Assert.Throws<ArgumentOutOfRangeException>(() => StateDictAdapter.Save(model, SafeTensorType.I8));
    }

    public void Dispose() => _directory.Dispose();

    private string Write(IReadOnlyList<SafeTensor> tensors, string name = "model.safetensors")
    {
        string path = _directory.PathOf(name);
        SafeTensorsWriter.Write(path, tensors);
        return path;
    }
}
