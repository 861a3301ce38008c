using TrainServe.Core;

namespace TrainServe.TestSupport;

/// <summary>Shapes of models that are small enough to run in milliseconds, yet have everything that a large one has.</summary>
public static class TinyModels
{
    /// <summary>Two layers, four query heads over two key-value heads of size 4, untied: about 5,000 weights with the default vocabulary.</summary>
    public static ModelConfig Config(
        int vocabSize = 32,
        int hiddenSize = 16,
        int intermediateSize = 24,
        int layers = 2,
        int heads = 4,
        int keyValueHeads = 2,
        int maxPositions = 64,
        bool tied = false) => new ModelConfig
        {
            VocabSize = vocabSize,
            HiddenSize = hiddenSize,
            IntermediateSize = intermediateSize,
            NumHiddenLayers = layers,
            NumAttentionHeads = heads,
            NumKeyValueHeads = keyValueHeads,
            MaxPositionEmbeddings = maxPositions,
            TieWordEmbeddings = tied,
        }.Validated("the tiny model");

    /// <summary>The same shape with one score in place of the head.</summary>
    public static ModelConfig RewardModel() => (Config() with { Architectures = [ModelConfig.RewardModel], NumLabels = 1 }).Validated("the tiny reward model");
}
