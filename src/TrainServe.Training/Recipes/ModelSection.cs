using TrainServe.Core;
using TrainServe.Core.Tokenization;

namespace TrainServe.Training.Recipes;

/// <summary>The shape of a new model: Hugging Face's keys, of which the tokenizer gives <c>vocab_size</c> and the special tokens.</summary>
public sealed record ModelSection : IRecipeSection
{
    /// <summary>Width of the residual stream.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Width inside the feed-forward block, which has three matrices.</summary>
    public required int IntermediateSize { get; init; }
    public required int NumHiddenLayers { get; init; }

    /// <summary>Query heads.</summary>
    public required int NumAttentionHeads { get; init; }

    /// <summary>Key-value heads; as many as query heads when not set.</summary>
    public int? NumKeyValueHeads { get; init; }

    /// <summary>Size of a head; hidden_size / num_attention_heads when not set.</summary>
    public int? HeadDim { get; init; }

    /// <summary>The longest context that the model can serve; data.sequence_length when not set.</summary>
    public int? MaxPositionEmbeddings { get; init; }
    public float RmsNormEps { get; init; } = 1e-5f;
    public float RopeTheta { get; init; } = 10_000f;

    /// <summary>The head shares the embedding's weights.</summary>
    public bool TieWordEmbeddings { get; init; } = true;

    /// <summary>Standard deviation of the first weights.</summary>
    public float InitializerRange { get; init; } = 0.02f;

    public void Check(RecipeRules rules)
    {
        rules.Range(nameof(HiddenSize), HiddenSize, 1, 1 << 16);
        rules.Range(nameof(IntermediateSize), IntermediateSize, 1, 1 << 18);
        rules.Range(nameof(NumHiddenLayers), NumHiddenLayers, 1, 1024);
        rules.Range(nameof(NumAttentionHeads), NumAttentionHeads, 1, 1024);
        if (HeadDim is { } size)
        {
            rules.Range(nameof(HeadDim), size, 2, 1024);
            rules.Require(size % 2 == 0, nameof(HeadDim), size, "must be even");
        }
        else
        {
            rules.Require(HiddenSize % NumAttentionHeads == 0 && HiddenSize / NumAttentionHeads % 2 == 0, nameof(HiddenSize), HiddenSize,
                $"must be an even multiple of num_attention_heads, {NumAttentionHeads}, unless head_dim is set");
        }
        if (NumKeyValueHeads is { } heads)
        {
            rules.Range(nameof(NumKeyValueHeads), heads, 1, NumAttentionHeads);
            rules.Require(NumAttentionHeads % heads == 0, nameof(NumKeyValueHeads), heads, $"must divide num_attention_heads, {NumAttentionHeads}");
        }
        rules.Positive(nameof(RmsNormEps), RmsNormEps);
        rules.Require(RopeTheta > 1, nameof(RopeTheta), RopeTheta, "must be above 1");
        rules.Positive(nameof(InitializerRange), InitializerRange);
    }

    /// <param name="tokenizer">Gives the vocabulary.</param>
    /// <param name="sequenceLength">Tokens of a row, T.</param>
    public ModelConfig ToConfig(TextTokenizer tokenizer, int sequenceLength) => new ModelConfig
    {
        VocabSize = tokenizer.VocabSize,
        HiddenSize = HiddenSize,
        IntermediateSize = IntermediateSize,
        NumHiddenLayers = NumHiddenLayers,
        NumAttentionHeads = NumAttentionHeads,
        NumKeyValueHeads = NumKeyValueHeads ?? 0,
        HeadDim = HeadDim ?? 0,
        MaxPositionEmbeddings = MaxPositionEmbeddings ?? sequenceLength,
        RmsNormEps = RmsNormEps,
        RopeTheta = RopeTheta,
        TieWordEmbeddings = TieWordEmbeddings,
        InitializerRange = InitializerRange,
        BosTokenId = tokenizer.Special.HasBos ? tokenizer.Special.BosId : null,
        EosTokenId = tokenizer.Special.HasEos ? [tokenizer.Special.EosId] : [],
        PadTokenId = tokenizer.Special.HasPad ? tokenizer.Special.PadId : null,
    }.Validated("model");
}
