using TorchSharp;
using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Model;
using TrainServe.TestSupport;
using static TorchSharp.torch;

namespace TrainServe.Training.Tests.Alignment;

/// <summary>A model whose every number follows from its head: attention and feed-forward are zero, and token i is embedded as a multiple of the unit vector i, so long that the norm's epsilon counts nothing.</summary>
/// <remarks>The final norm makes of unit vector i the vector with sqrt(V) at i, so that a head's entry [v, i] counts sqrt(V) times.</remarks>
internal static class HandBuiltModel
{
    public const int Vocabulary = 16;

    /// <summary>After token i, token i + 1 has the logit <paramref name="logit"/> and all others 0.</summary>
    public static Transformer Successor(double logit)
    {
        var model = Empty(Config());
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var head = StateDictAdapter.View(model, WeightNames.Head);
        for (int token = 0; token < Vocabulary; token++)
        {
            head[(token + 1) % Vocabulary, token] = (float)(logit / Math.Sqrt(Vocabulary));
        }
        return model;
    }

    /// <summary>The score at token i is i.</summary>
    public static Transformer Score()
    {
        var model = Empty(ScoredTransformer.ConfigOf(Config()));
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var score = StateDictAdapter.View(model, WeightNames.Score);
        for (int token = 0; token < Vocabulary; token++)
        {
            score[0, token] = (float)(token / Math.Sqrt(Vocabulary));
        }
        return model;
    }

    private static ModelConfig Config() => TinyModels.Config(Vocabulary, hiddenSize: Vocabulary, layers: 1);

    private static Transformer Empty(ModelConfig config)
    {
        var model = new Transformer(config);
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        StateDictAdapter.View(model, WeightNames.Embedding).copy_(eye(Vocabulary) * LiveScalar.Of(100));
        model.eval();
        return model;
    }
}
