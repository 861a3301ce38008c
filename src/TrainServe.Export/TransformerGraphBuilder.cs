using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Export.Protos;
using static TrainServe.Export.GraphWriter;
using DataType = TrainServe.Export.Protos.TensorProto.Types.DataType;

namespace TrainServe.Export;

// B batch, S new tokens, R = B*S rows, M cache capacity, C width, F inner width, V vocabulary, H query heads, K key-value heads, P head size in the graph, R wanted rows.

/// <summary>Builds the inference graph of a Llama-type transformer, one method a layer, and writes its weights as it goes.</summary>
/// <remarks>Operators of ONNX opset 21 and of com.microsoft version 1. The rotation is Hugging Face's: halves of a head turn against each other.</remarks>
internal sealed class TransformerGraphBuilder(ModelConfig config, SafeTensorsReader weights, ExternalDataWriter data, ExportPrecision precision, CacheScales? cacheScales)
{
    private readonly GraphWriter _graph = new(data);
    private readonly HeadLayout _heads = new(config);

    public GraphProto Build()
    {
        DeclareInputsAndOutputs();
        WriteRotaryTables();
        var linear = new LinearWriter(_graph, precision);
        string ids = DeclareRows(linear);
        string hidden = linear.Embedding(ids, weights.ReadSingles(WeightNames.Embedding), config.VocabSize, config.HiddenSize);
        var (normed, residual) = FirstNorm(hidden);
        for (int layer = 0; layer < config.NumHiddenLayers; layer++)
        {
            string attended = Attention(linear, layer, normed);
            (normed, residual) = AddAndNorm(WeightNames.PostAttentionNorm(layer), attended, residual);
            string fed = FeedForward(linear, layer, normed);
            bool last = layer == config.NumHiddenLayers - 1;
            (normed, residual) = AddAndNorm(last ? WeightNames.FinalNorm : WeightNames.InputNorm(layer + 1), fed, residual);
        }
        Head(linear, normed);
        return _graph.Graph;
    }

    private void DeclareInputsAndOutputs()
    {
        _graph.Input(GraphNames.InputIds, DataType.Int64, "B", "S");
        _graph.Input(GraphNames.SequenceLengths, DataType.Int32, "B");
        _graph.Input(GraphNames.TotalLength, DataType.Int32, 1L);
        _graph.Input(GraphNames.LogitIndex, DataType.Int64, "R");
        if (config.IsRewardModel)
        {
            _graph.Output(GraphNames.Score, DataType.Float, "R", 1L);
        }
        else
        {
            _graph.Output(GraphNames.Logits, DataType.Float, "R", (long)config.VocabSize);
        }
        _graph.Output(GraphNames.Hidden, DataType.Float, "R", (long)config.HiddenSize);
        var type = precision.CacheBits == 8 ? DataType.Int8 : DataType.Float;
        for (int layer = 0; layer < config.NumHiddenLayers; layer++)
        {
            foreach (string name in (string[])[GraphNames.PastKey(layer), GraphNames.PastValue(layer)])
            {
                _graph.Input(name, type, "B", (long)config.NumKeyValueHeads, "M", (long)_heads.Size);
            }
            foreach (string name in (string[])[GraphNames.PresentKey(layer), GraphNames.PresentValue(layer)])
            {
                _graph.Output(name, type, "B", (long)config.NumKeyValueHeads, "M", (long)_heads.Size);
            }
        }
    }

    // Rows lie one under the other, [R, C], but for the attention.
    private string DeclareRows(LinearWriter linear)
    {
        string ids = _graph.Node("Reshape", "ids", [GraphNames.InputIds, _graph.Constant("flat", -1)]);
        linear.DeclareRows(_graph.Node("Shape", "rows", [ids]));
        _graph.Node("Concat", "sequences", [_graph.Node("Shape", "batch", [GraphNames.InputIds]), _graph.Constant("rest", -1)], attributes: Integer("axis", 0));
        return ids;
    }

    private void WriteRotaryTables()
    {
        var (cos, sin) = _heads.RotaryTables(config.MaxPositionEmbeddings);
        _graph.Initializer("rotary.cos", [config.MaxPositionEmbeddings, _heads.Size / 2], cos);
        _graph.Initializer("rotary.sin", [config.MaxPositionEmbeddings, _heads.Size / 2], sin);
    }

    private (string Normed, string Residual) FirstNorm(string hidden)
    {
        string name = WeightNames.InputNorm(0);
        string scale = _graph.Initializer(name, [config.HiddenSize], weights.ReadSingles(name));
        // The runtime registers this operator under the default domain.
        string normed = _graph.Node("SimplifiedLayerNormalization", "layer.0.input_norm", [hidden, scale], attributes: [Integer("axis", -1), Float("epsilon", config.RmsNormEps), Integer("stash_type", 1)]);
        return (normed, hidden);
    }

    private (string Normed, string Residual) AddAndNorm(string weight, string addend, string residual)
    {
        string scale = _graph.Initializer(weight, [config.HiddenSize], weights.ReadSingles(weight));
        string stem = weight.Replace("model.", "", StringComparison.Ordinal).Replace(".weight", "", StringComparison.Ordinal);
        var node = _graph.Node("SkipSimplifiedLayerNormalization", stem, [addend, residual, scale], [$"{stem}.out", "", "", $"{stem}.residual"], Contrib, Float("epsilon", config.RmsNormEps));
        return (node.Output[0], node.Output[3]);
    }

    private string Attention(LinearWriter linear, int layer, string normed)
    {
        int width = config.HiddenSize, heads = config.NumAttentionHeads, keyValueHeads = config.NumKeyValueHeads;
        float[] packed =
        [
            .. _heads.WidenRows(weights.ReadSingles(WeightNames.Query(layer)), heads, width),
            .. _heads.WidenRows(weights.ReadSingles(WeightNames.Key(layer)), keyValueHeads, width),
            .. _heads.WidenRows(weights.ReadSingles(WeightNames.Value(layer)), keyValueHeads, width),
        ];
        string qkv = linear.Linear($"layer.{layer}.qkv", normed, packed, (heads + 2 * keyValueHeads) * _heads.Size, width);
        string stem = $"layer.{layer}.attention";
        string sequences = _graph.Node("Reshape", $"{stem}.sequences", [qkv, "sequences.out"]);
        List<string> inputs = [sequences, "", "", GraphNames.PastKey(layer), GraphNames.PastValue(layer), GraphNames.SequenceLengths, GraphNames.TotalLength, "rotary.cos", "rotary.sin"];
        List<AttributeProto> attributes =
        [
            Integer("num_heads", heads), Integer("kv_num_heads", keyValueHeads), Integer("do_rotary", 1), Integer("rotary_interleaved", 0),
            Float("scale", (float)(1 / Math.Sqrt(config.HeadDim))),
        ];
        if (precision.CacheBits == 8)
        {
            inputs.AddRange(["", "", "", CacheScale($"layer.{layer}.key_scale", cacheScales!.Keys[layer]), CacheScale($"layer.{layer}.value_scale", cacheScales.Values[layer])]);
            attributes.AddRange([Text("k_quant_type", "PER_CHANNEL"), Text("v_quant_type", "PER_CHANNEL"), Integer("kv_cache_bit_width", 8)]);
        }
        _graph.Node("GroupQueryAttention", stem, [.. inputs], [$"{stem}.out", GraphNames.PresentKey(layer), GraphNames.PresentValue(layer)], Contrib, [.. attributes]);
        float[] projection = _heads.WidenColumns(weights.ReadSingles(WeightNames.AttentionOutput(layer)), heads, width);
        string rows = _graph.Node("Reshape", $"{stem}.rows", [$"{stem}.out", _graph.Constant("attention.width", -1, heads * _heads.Size)]);
        return linear.Linear($"layer.{layer}.o_proj", rows, projection, width, heads * _heads.Size);
    }

    private string CacheScale(string name, float[] scales) => _graph.Initializer(name, [1, config.NumKeyValueHeads, 1, _heads.Size], scales);

    private string FeedForward(LinearWriter linear, int layer, string normed)
    {
        int width = config.HiddenSize, inner = config.IntermediateSize;
        float[] packed = [.. weights.ReadSingles(WeightNames.Gate(layer)), .. weights.ReadSingles(WeightNames.Up(layer))];
        string gateUp = linear.Linear($"layer.{layer}.gate_up", normed, packed, 2 * inner, width);
        string stem = $"layer.{layer}.mlp";
        var split = _graph.Node("Split", $"{stem}.split", [gateUp], [$"{stem}.gate", $"{stem}.up"], "", Integer("axis", -1), Integer("num_outputs", 2));
        // QuickGelu with alpha 1 is x * sigmoid(x), SiLU.
        string activated = _graph.Node("QuickGelu", $"{stem}.silu", [split.Output[0]], Contrib, Float("alpha", 1));
        string product = _graph.Node("Mul", $"{stem}.product", [activated, split.Output[1]]);
        return linear.Linear($"layer.{layer}.down", product, weights.ReadSingles(WeightNames.Down(layer)), width, inner);
    }

    private void Head(LinearWriter linear, string normed)
    {
        // Only wanted rows go through the head: no [R, V] is ever made.
        _graph.Node("Gather", "head.wanted", [normed, GraphNames.LogitIndex], [GraphNames.Hidden], "", Integer("axis", 0));
        if (config.IsRewardModel)
        {
            string score = _graph.Initializer(WeightNames.Score, [1, config.HiddenSize], weights.ReadSingles(WeightNames.Score));
            _graph.Node("Gemm", "head", [GraphNames.Hidden, score], [GraphNames.Score], "", Integer("transB", 1));
            return;
        }
        if (config.TieWordEmbeddings)
        {
            linear.TiedHead(GraphNames.Hidden, () => weights.ReadSingles(WeightNames.Embedding), config.VocabSize, config.HiddenSize, GraphNames.Logits);
            return;
        }
        linear.Head(GraphNames.Hidden, weights.ReadSingles(WeightNames.Head), config.VocabSize, config.HiddenSize, GraphNames.Logits);
    }
}
