using TorchSharp;
using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Core.Random;

namespace TrainServe.Model.Tests;

/// <summary>Tiny models whose weights are large enough for every part to matter, and token ids to feed them.</summary>
internal static class RandomModels
{
    public static Transformer Create(ModelConfig config, torch.ScalarType dtype = torch.ScalarType.Float32, ulong seed = 1, float dropout = 0)
    {
        TorchRuntime.Initialize(1);
        var model = new Transformer(config with { InitializerRange = 0.3f }, dropout, dtype);
        model.Initialize(seed);
        using var noGradient = torch.no_grad();
        foreach (var (name, shape) in WeightNames.Expected(config).Where(weight => weight.Shape.Length == 1))
        {
            // Norms that are not all 1, so that a weight left out would be seen.
            using var scope = torch.NewDisposeScope();
            StateDictAdapter.View(model, name).copy_(torch.linspace(0.5, 1.5, shape[0], dtype));
        }
        model.eval();
        return model;
    }

    public static Dictionary<string, float[]> Weights(Transformer model)
    {
        using var scope = torch.NewDisposeScope();
        return WeightNames.Expected(model.Config).ToDictionary(weight => weight.Name,
            weight => StateDictAdapter.View(model, weight.Name).to(torch.ScalarType.Float32).contiguous().data<float>().ToArray(), StringComparer.Ordinal);
    }

    public static int[] Ids(int count, int vocabSize, ulong seed = 7)
    {
        var random = new PhiloxRandom(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.NextInt32(vocabSize))];
    }

    public static torch.Tensor Batch(params int[][] rows) =>
        torch.tensor([.. rows.SelectMany(row => row.Select(id => (long)id))], [rows.Length, rows[0].Length]);
}
