using System.Text.Json;
using System.Text.Json.Serialization;
using TrainServe.Core.IO;

namespace TrainServe.Core;

/// <summary>The shape of a Llama-type transformer: the content of Hugging Face's <c>config.json</c>.</summary>
/// <remarks>Property names are the file's keys in Pascal case. Keys that a reader of ours does not need are kept in <see cref="Other"/>.</remarks>
public sealed record ModelConfig
{
    public const string CausalLanguageModel = "LlamaForCausalLM";
    public const string RewardModel = "LlamaForSequenceClassification";
    internal const float DefaultRopeTheta = 10000f;

    /// <summary>One of <see cref="CausalLanguageModel"/> and <see cref="RewardModel"/>.</summary>
    public IReadOnlyList<string> Architectures { get; init; } = [CausalLanguageModel];
    public string ModelType { get; init; } = "llama";

    /// <summary>Rows of the embedding, V.</summary>
    public required int VocabSize { get; init; }

    /// <summary>Width of the residual stream, C.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Width inside the feed-forward block, F.</summary>
    public required int IntermediateSize { get; init; }
    public required int NumHiddenLayers { get; init; }

    /// <summary>Query heads, H.</summary>
    public required int NumAttentionHeads { get; init; }

    /// <summary>Key-value heads, K; divides the query heads. The number of query heads when the file has none.</summary>
    public int NumKeyValueHeads { get => field == 0 ? NumAttentionHeads : field; init; }

    /// <summary>Size of a head, D; <see cref="HiddenSize"/> / <see cref="NumAttentionHeads"/> when the file has none.</summary>
    public int HeadDim { get => field == 0 && NumAttentionHeads > 0 ? HiddenSize / NumAttentionHeads : field; init; }

    /// <summary>The longest context in tokens that positions were trained for.</summary>
    public int MaxPositionEmbeddings { get; init; } = 2048;
    public float RmsNormEps { get; init; } = 1e-5f;

    /// <summary>Base of the rotary frequencies.</summary>
    public float RopeTheta { get; init; } = DefaultRopeTheta;

    /// <summary>The head is the embedding's transpose and is not stored.</summary>
    public bool TieWordEmbeddings { get; init; }
    public string HiddenAct { get; init; } = "silu";
    public bool AttentionBias { get; init; }
    public bool MlpBias { get; init; }
    public float AttentionDropout { get; init; }

    /// <summary>Standard deviation of freshly initialised weights.</summary>
    public float InitializerRange { get; init; } = 0.02f;
    public int? BosTokenId { get; init; }

    /// <summary>The tokens that end a text; the file may hold one number, a list, or none.</summary>
    [JsonConverter(typeof(OneOrManyConverter))]
    public IReadOnlyList<int> EosTokenId { get; init; } = [];
    public int? PadTokenId { get; init; }

    /// <summary>Outputs of the score head: 1 for a reward model, null for a language model.</summary>
    [JsonIgnore]
    public int? NumLabels { get; init; }

    /// <summary>Type of the stored weights: float32, bfloat16 or float16.</summary>
    public string TorchDtype { get; init; } = "float32";

    /// <summary>Keys of the file that nothing here reads, kept so that writing loses none of them.</summary>
    [JsonExtensionData]
    public IDictionary<string, JsonElement>? Other { get; init; }

    [JsonIgnore]
    public bool IsRewardModel => Architectures.Contains(RewardModel, StringComparer.Ordinal);

    /// <summary>Number of stored weights.</summary>
    [JsonIgnore]
    public long ParameterCount
    {
        get
        {
            long attention = (long)HiddenSize * HeadDim * (2 * NumAttentionHeads + 2 * NumKeyValueHeads);
            long perLayer = attention + 3L * HiddenSize * IntermediateSize + 2L * HiddenSize;
            long embedding = (long)VocabSize * HiddenSize;
            long head = IsRewardModel ? (long)(NumLabels ?? 1) * HiddenSize : TieWordEmbeddings ? 0 : embedding;
            return embedding + NumHiddenLayers * perLayer + HiddenSize + head;
        }
    }

    /// <summary>Reads and checks <c>config.json</c>.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is not a config that this code can run; the message names file, key and rule.</exception>
    public static ModelConfig Read(string path)
    {
        var config = NewerConfigKeys.Absorbed(JsonFile.Read<ModelConfig>(path, JsonFile.SnakeCase), path);
        if (config.IsRewardModel)
        {
            // Hugging Face writes num_labels only as the length of id2label; ours is always one score.
            config = config with { NumLabels = ReadLabelCount(config.Other) };
        }
        return config.Validated(path);
    }

    public void Write(string path) => JsonFile.Write(path, IsRewardModel ? WithLabels() : this, JsonFile.SnakeCase);

    /// <summary>Checks every rule.</summary>
    /// <param name="source">What to name in the message: the file's path, or the recipe's section.</param>
    /// <exception cref="InvalidDataException">A rule is broken.</exception>
    public ModelConfig Validated(string source)
    {
        Require(ModelType == "llama", "model_type", ModelType, "must be llama");
        Require(Architectures.Count == 1 && (Architectures[0] == CausalLanguageModel || Architectures[0] == RewardModel),
            "architectures", string.Join(',', Architectures), $"must be {CausalLanguageModel} or {RewardModel}");
        RequireRange("vocab_size", VocabSize, 2, 1 << 22);
        RequireRange("hidden_size", HiddenSize, 1, 1 << 16);
        RequireRange("intermediate_size", IntermediateSize, 1, 1 << 18);
        RequireRange("num_hidden_layers", NumHiddenLayers, 1, 1024);
        RequireRange("num_attention_heads", NumAttentionHeads, 1, 1024);
        RequireRange("num_key_value_heads", NumKeyValueHeads, 1, NumAttentionHeads);
        Require(NumAttentionHeads % NumKeyValueHeads == 0, "num_key_value_heads", NumKeyValueHeads, $"must divide num_attention_heads, {NumAttentionHeads}");
        RequireRange("head_dim", HeadDim, 2, 1024);
        Require(HeadDim % 2 == 0, "head_dim", HeadDim, "must be even, because rotary embedding turns pairs");
        RequireRange("max_position_embeddings", MaxPositionEmbeddings, 1, 1 << 24);
        Require(RmsNormEps > 0 && RmsNormEps < 1, "rms_norm_eps", RmsNormEps, "must be between 0 and 1");
        Require(float.IsFinite(RopeTheta) && RopeTheta > 1, "rope_theta", RopeTheta, "must be a number above 1");
        Require(HiddenAct == "silu", "hidden_act", HiddenAct, "must be silu");
        Require(!AttentionBias, "attention_bias", AttentionBias, "must be false");
        Require(!MlpBias, "mlp_bias", MlpBias, "must be false");
        Require(AttentionDropout is >= 0 and < 1, "attention_dropout", AttentionDropout, "must be at least 0 and below 1");
        Require(InitializerRange is > 0 and < 1, "initializer_range", InitializerRange, "must be between 0 and 1");
        Require(TorchDtype is "float32" or "bfloat16" or "float16", "torch_dtype", TorchDtype, "must be float32, bfloat16 or float16");
        Require(!IsRewardModel || NumLabels == 1, "num_labels", NumLabels ?? 0, "must be 1 for a reward model");
        foreach (var (key, id) in new[] { ("bos_token_id", BosTokenId), ("pad_token_id", PadTokenId) }.Concat(EosTokenId.Select(id => ("eos_token_id", (int?)id))))
        {
            Require(id is null || (id >= 0 && id < VocabSize), key, id ?? 0, $"must be inside the vocabulary of {VocabSize}");
        }
        return this;

        void Require(bool holds, string key, object value, string rule)
        {
            if (!holds)
            {
                throw new InvalidDataException($"{source}: {key} is {value}; it {rule}.");
            }
        }

        void RequireRange(string key, int value, int least, int most) =>
            Require(value >= least && value <= most, key, value, $"must be from {least} to {most}");
    }

    private static int ReadLabelCount(IDictionary<string, JsonElement>? other)
    {
        if (other is null)
        {
            return 1;
        }
        if (other.TryGetValue("num_labels", out var count) && count.ValueKind == JsonValueKind.Number && count.TryGetInt32(out int labels))
        {
            return labels;
        }
        return other.TryGetValue("id2label", out var names) && names.ValueKind == JsonValueKind.Object ? names.EnumerateObject().Count() : 1;
    }

    private ModelConfig WithLabels()
    {
        var other = Other is null ? new Dictionary<string, JsonElement>(StringComparer.Ordinal) : new Dictionary<string, JsonElement>(Other, StringComparer.Ordinal);
        other["num_labels"] = JsonSerializer.SerializeToElement(NumLabels ?? 1);
        return this with { Other = other };
    }
}
