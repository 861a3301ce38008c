using System.Globalization;

namespace TrainServe.Core.Packaging;

/// <summary>Hugging Face's names of the weights of a Llama-type model, the only ones stored. Linear weights are [out, in].</summary>
public static class WeightNames
{
    /// <summary>[V, C]</summary>
    public const string Embedding = "model.embed_tokens.weight";

    /// <summary>[C]</summary>
    public const string FinalNorm = "model.norm.weight";

    /// <summary>[V, C]; absent where the head is tied to the embedding.</summary>
    public const string Head = "lm_head.weight";

    /// <summary>[1, C]; of a reward model.</summary>
    public const string Score = "score.weight";

    /// <summary>[C]; before attention.</summary>
    public static string InputNorm(int layer) => Of(layer, "input_layernorm");

    /// <summary>[H*D, C]</summary>
    public static string Query(int layer) => Of(layer, "self_attn.q_proj");

    /// <summary>[K*D, C]</summary>
    public static string Key(int layer) => Of(layer, "self_attn.k_proj");

    /// <summary>[K*D, C]</summary>
    public static string Value(int layer) => Of(layer, "self_attn.v_proj");

    /// <summary>[C, H*D]</summary>
    public static string AttentionOutput(int layer) => Of(layer, "self_attn.o_proj");

    /// <summary>[C]; before the feed-forward block.</summary>
    public static string PostAttentionNorm(int layer) => Of(layer, "post_attention_layernorm");

    /// <summary>[F, C]</summary>
    public static string Gate(int layer) => Of(layer, "mlp.gate_proj");

    /// <summary>[F, C]</summary>
    public static string Up(int layer) => Of(layer, "mlp.up_proj");

    /// <summary>[C, F]</summary>
    public static string Down(int layer) => Of(layer, "mlp.down_proj");

    /// <summary>Every weight of a model of this shape with its dimensions, in the order in which they are stored.</summary>
    public static IEnumerable<(string Name, long[] Shape)> Expected(ModelConfig config)
    {
        long width = config.HiddenSize, inner = config.IntermediateSize;
        long query = (long)config.NumAttentionHeads * config.HeadDim, keyValue = (long)config.NumKeyValueHeads * config.HeadDim;
        yield return (Embedding, [config.VocabSize, width]);
        for (int layer = 0; layer < config.NumHiddenLayers; layer++)
        {
            yield return (InputNorm(layer), [width]);
            yield return (Query(layer), [query, width]);
            yield return (Key(layer), [keyValue, width]);
            yield return (Value(layer), [keyValue, width]);
            yield return (AttentionOutput(layer), [width, query]);
            yield return (PostAttentionNorm(layer), [width]);
            yield return (Gate(layer), [inner, width]);
            yield return (Up(layer), [inner, width]);
            yield return (Down(layer), [width, inner]);
        }
        yield return (FinalNorm, [width]);
        if (config.IsRewardModel)
        {
            yield return (Score, [config.NumLabels ?? 1, width]);
        }
        else if (!config.TieWordEmbeddings)
        {
            yield return (Head, [config.VocabSize, width]);
        }
    }

    private static string Of(int layer, string part) => string.Create(CultureInfo.InvariantCulture, $"model.layers.{layer}.{part}.weight");
}
