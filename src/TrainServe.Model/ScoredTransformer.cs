using System.Runtime.InteropServices;
using TorchSharp;
using TrainServe.Core;
using TrainServe.Core.Packaging;
using static TorchSharp.torch;

namespace TrainServe.Model;

/// <summary>Models with a score's head (LlamaForSequenceClassification), made from any checkpoint: reward models, and critics, which give a value at every token.</summary>
public static class ScoredTransformer
{
    /// <summary>The same shape with one score in place of the head for tokens.</summary>
    public static ModelConfig ConfigOf(ModelConfig config) => config with { Architectures = [ModelConfig.RewardModel], NumLabels = 1 };

    /// <summary>The body of a language model under a fresh head; a reward model as it is. In evaluation mode.</summary>
    /// <param name="package">The weights to begin from.</param>
    /// <param name="seed">Of the fresh head, whose standard deviation is 1 / sqrt(C + 1).</param>
    /// <param name="dropout">See <see cref="Transformer"/>.</param>
    /// <param name="device">Where it lives; the CPU when null.</param>
    /// <exception cref="InvalidDataException">The weights are not those of the package's config.</exception>
    public static Transformer Load(ModelPackage package, ulong seed, float dropout = 0, Device? device = null)
    {
        if (package.Config.IsRewardModel)
        {
            return Transformer.Load(package, dropout, device: device);
        }
        using var weights = package.OpenWeights();
        var model = new Transformer(ConfigOf(package.Config), dropout, device: device);
        try
        {
            model.Initialize(seed);
            foreach (var (name, shape) in WeightNames.Expected(model.Config).Where(weight => weight.Name != WeightNames.Score))
            {
                Set(model, name, shape, values => weights.CopySingles(name, values));
            }
            model.eval();
            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>A critic: the body of a package under a head of zeros, so that the first values are 0.</summary>
    /// <remarks>"The N implementation details of RLHF with PPO", detail 1.8 of its value head.</remarks>
    public static Transformer LoadCritic(ModelPackage package, Device? device = null)
    {
        var model = Load(package, seed: 0, device: device);
        ScaleScores(model, 0);
        return model;
    }

    /// <summary>Multiplies every score that the model gives.</summary>
    public static void ScaleScores(Transformer model, double factor)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        StateDictAdapter.View(model, WeightNames.Score).mul_(LiveScalar.Of(factor));
    }

    private static void Set(Transformer model, string name, long[] shape, Filler fill)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var values = zeros(shape, ScalarType.Float32);
        fill(MemoryMarshal.Cast<byte, float>(values.bytes));
        StateDictAdapter.View(model, name).copy_(values);
    }

    private delegate void Filler(Span<float> values);
}
