using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Export.Protos;
using static TrainServe.Export.GraphWriter;
using DataType = TrainServe.Export.Protos.TensorProto.Types.DataType;

namespace TrainServe.Export;

// B batch, S new tokens, R = B*S rows, M cache capacity, C width, F inner width, V vocabulary, H query heads, K key-value heads, P head size in the graph, R wanted rows.

/// <summary>Builds the inference graph of a Llama-type transformer, one method a layer, and writes its weights as it goes.</summary>
/// <remarks>Operators of ONNX opset 21 and of com.microsoft version 1; quantized graphs have TrainServe's own too. The rotation is Hugging Face's: halves of a head turn against each other.</remarks>
internal sealed class TransformerGraphBuilder(ModelConfig config, SafeTensorsReader weights, ExternalDataWriter data, ExportPrecision precision, CacheScales? cacheScales)
{
    private readonly GraphWriter _graph = new(data, precision.IsHalf ? DataType.Float16 : DataType.Float);
    private readonly HeadLayout _heads = new(config);

    public GraphProto Build()
    {
        DeclareInputsAndOutputs();
        WriteRotaryTables();
        var linear = new LinearWriter(_graph, precision);
        string ids = DeclareRows();
        string hidden = linear.Embedding(ids, weights.ReadSingles(WeightNames.Embedding), config.VocabSize, config.HiddenSize);
        var (normed, residual) = (FirstNorm(linear, hidden), hidden);
        for (int layer = 0; layer < config.NumHiddenLayers; layer++)
        {
            var attended = Attention(linear, layer, normed);
            (normed, residual) = AddAndNorm(linear, WeightNames.PostAttentionNorm(layer), attended, residual);
            var fed = FeedForward(linear, layer, normed);
            bool last = layer == config.NumHiddenLayers - 1;
            (normed, residual) = last ? LastNorm(linear, fed, residual) : AddAndNorm(linear, WeightNames.InputNorm(layer + 1), fed, residual);
        }
        Head(linear, normed.Values);
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
        var type = HasByteCache ? DataType.Int8 : _graph.Numbers;
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
    private string DeclareRows()
    {
        if (!HasByteCache)
        {
            _graph.Node("Concat", "sequences", [_graph.Node("Shape", "batch", [GraphNames.InputIds]), _graph.Constant("rest", -1)], attributes: Integer("axis", 0));
        }
        return _graph.Node("Reshape", "ids", [GraphNames.InputIds, _graph.Constant("flat", -1)]);
    }

    private void WriteRotaryTables()
    {
        var (cos, sin) = _heads.RotaryTables(config.MaxPositionEmbeddings);
        _graph.Initializer("rotary.cos", [config.MaxPositionEmbeddings, _heads.Size / 2], cos);
        _graph.Initializer("rotary.sin", [config.MaxPositionEmbeddings, _heads.Size / 2], sin);
    }

    private Rows FirstNorm(LinearWriter linear, string hidden)
    {
        // The runtime registers this operator under the default domain.
        string normed = _graph.Node("SimplifiedLayerNormalization", "layer.0.input_norm", [hidden, NormWeight(WeightNames.InputNorm(0))],
            attributes: [Integer("axis", -1), Float("epsilon", config.RmsNormEps), Integer("stash_type", 1)]);
        return linear.Operand("layer.0.input_norm.bytes", normed);
    }

    private (Rows Normed, string Residual) AddAndNorm(LinearWriter linear, string weight, Rows addend, string residual)
    {
        string stem = Stem(weight);
        if (addend.Scales is not null)
        {
            var node = _graph.Node("AddNormQuantizeRows", stem, [addend.Values, addend.Scales, residual, NormWeight(weight)], [$"{stem}.out", $"{stem}.scales", $"{stem}.residual"], GraphNames.KernelDomain, Float("epsilon", config.RmsNormEps));
            return (Rows.Of(node), node.Output[2]);
        }
        var (normed, sum) = AddAndNorm(weight, addend.Values, residual);
        return (linear.Operand($"{stem}.bytes", normed), sum);
    }

    // The head reads numbers.
    private (Rows Normed, string Residual) LastNorm(LinearWriter linear, Rows addend, string residual)
    {
        var (normed, sum) = AddAndNorm(WeightNames.FinalNorm, linear.Numbers("fed", addend), residual);
        return (new Rows(normed), sum);
    }

    private (string Normed, string Residual) AddAndNorm(string weight, string addend, string residual)
    {
        string stem = Stem(weight);
        var node = _graph.Node("SkipSimplifiedLayerNormalization", stem, [addend, residual, NormWeight(weight)], [$"{stem}.out", "", "", $"{stem}.residual"], Contrib, Float("epsilon", config.RmsNormEps));
        return (node.Output[0], node.Output[3]);
    }

    private static string Stem(string weight) => weight.Replace("model.", "", StringComparison.Ordinal).Replace(".weight", "", StringComparison.Ordinal);

    private string NormWeight(string name) => _graph.Initializer(name, [config.HiddenSize], weights.ReadSingles(name));

    private Rows Attention(LinearWriter linear, int layer, Rows normed)
    {
        int width = config.HiddenSize, heads = config.NumAttentionHeads, keyValueHeads = config.NumKeyValueHeads;
        float[] packed =
        [
            .. _heads.WidenRows(weights.ReadSingles(WeightNames.Query(layer)), heads, width),
            .. _heads.WidenRows(weights.ReadSingles(WeightNames.Key(layer)), keyValueHeads, width),
            .. _heads.WidenRows(weights.ReadSingles(WeightNames.Value(layer)), keyValueHeads, width),
        ];
        var qkv = linear.Linear($"layer.{layer}.qkv", normed, packed, (heads + 2 * keyValueHeads) * _heads.Size, width);
        string stem = $"layer.{layer}.attention", attended = HasByteCache ? OverBytes(stem, layer, qkv) : OverNumbers(stem, layer, qkv.Values);
        float[] projection = _heads.WidenColumns(weights.ReadSingles(WeightNames.AttentionOutput(layer)), heads, width);
        return linear.Linear($"layer.{layer}.o_proj", linear.Operand($"{stem}.bytes", attended), projection, width, heads * _heads.Size);
    }

    private string OverNumbers(string stem, int layer, string qkv)
    {
        string sequences = _graph.Node("Reshape", $"{stem}.sequences", [qkv, "sequences.out"]);
        _graph.Node("GroupQueryAttention", stem, [sequences, "", "", GraphNames.PastKey(layer), GraphNames.PastValue(layer), GraphNames.SequenceLengths, GraphNames.TotalLength, "rotary.cos", "rotary.sin"],
            [$"{stem}.out", GraphNames.PresentKey(layer), GraphNames.PresentValue(layer)], Contrib, [.. HeadAttributes(), Integer("do_rotary", 1), Integer("rotary_interleaved", 0)]);
        return _graph.Node("Reshape", $"{stem}.rows", [$"{stem}.out", _graph.Constant("attention.width", -1, config.NumAttentionHeads * _heads.Size)]);
    }

    // The runtime's own operator takes four times as long over a cache of eight bits.
    private string OverBytes(string stem, int layer, Rows qkv)
    {
        string keys = CacheScale($"layer.{layer}.key_scale", cacheScales!.Keys[layer]), values = CacheScale($"layer.{layer}.value_scale", cacheScales.Values[layer]);
        List<string> inputs = [qkv.Values, GraphNames.PastKey(layer), GraphNames.PastValue(layer), GraphNames.SequenceLengths, GraphNames.TotalLength, "rotary.cos", "rotary.sin", keys, values];
        if (qkv.Scales is not null)
        {
            inputs.Add(qkv.Scales);
        }
        return _graph.Node("CachedAttention", stem, [.. inputs], [$"{stem}.out", GraphNames.PresentKey(layer), GraphNames.PresentValue(layer)], GraphNames.KernelDomain, HeadAttributes()).Output[0];
    }

    private bool HasByteCache => precision.CacheBits == 8;

    private AttributeProto[] HeadAttributes() =>
        [Integer("num_heads", config.NumAttentionHeads), Integer("kv_num_heads", config.NumKeyValueHeads), Float("scale", (float)(1 / Math.Sqrt(config.HeadDim)))];

    private string CacheScale(string name, float[] scales) => _graph.Initializer(name, [1, config.NumKeyValueHeads, 1, _heads.Size], scales);

    private Rows FeedForward(LinearWriter linear, int layer, Rows normed)
    {
        int width = config.HiddenSize, inner = config.IntermediateSize;
        float[] packed = [.. weights.ReadSingles(WeightNames.Gate(layer)), .. weights.ReadSingles(WeightNames.Up(layer))];
        var gateUp = linear.Linear($"layer.{layer}.gate_up", normed, packed, 2 * inner, width);
        string stem = $"layer.{layer}.mlp";
        return linear.Linear($"layer.{layer}.down", Activated(linear, stem, gateUp), weights.ReadSingles(WeightNames.Down(layer)), width, inner);
    }

    private Rows Activated(LinearWriter linear, string stem, Rows gateUp)
    {
        if (gateUp.Scales is not null)
        {
            return Rows.Of(_graph.Node("SwiGluQuantizeRows", stem, [gateUp.Values, gateUp.Scales], [$"{stem}.out", $"{stem}.scales"], GraphNames.KernelDomain));
        }
        var split = _graph.Node("Split", $"{stem}.split", [gateUp.Values], [$"{stem}.gate", $"{stem}.up"], "", Integer("axis", -1), Integer("num_outputs", 2));
        // QuickGelu with alpha 1 is x * sigmoid(x), SiLU.
        string activated = _graph.Node("QuickGelu", $"{stem}.silu", [split.Output[0]], Contrib, Float("alpha", 1));
        return linear.Operand($"{stem}.bytes", _graph.Node("Mul", $"{stem}.product", [activated, split.Output[1]]));
    }

    private void Head(LinearWriter linear, string normed)
    {
        // Only wanted rows go through the head: no [R, V] is ever made.
        string wanted = linear.Single("head.wanted", GraphNames.Hidden, output => _graph.Node("Gather", "head.wanted", [normed, GraphNames.LogitIndex], [output], "", Integer("axis", 0)));
        if (config.IsRewardModel)
        {
            string score = _graph.Initializer(WeightNames.Score, [1, config.HiddenSize], weights.ReadSingles(WeightNames.Score));
            _graph.Node("Gemm", "head", [wanted, score], [GraphNames.Score], "", Integer("transB", 1));
            return;
        }
        linear.Single("head", GraphNames.Logits, output =>
        {
            if (config.TieWordEmbeddings)
            {
                linear.TiedHead(wanted, () => weights.ReadSingles(WeightNames.Embedding), config.VocabSize, config.HiddenSize, output);
                return;
            }
            linear.Head(wanted, weights.ReadSingles(WeightNames.Head), config.VocabSize, config.HiddenSize, output);
        });
    }
}
