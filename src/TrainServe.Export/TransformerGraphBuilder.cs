using Google.Protobuf;
using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Export.Protos;
using static TrainServe.Export.Protos.AttributeProto.Types;

namespace TrainServe.Export;

// B batch, S new tokens, M cache capacity, C width, F inner width, V vocabulary, H query heads, K key-value heads, P head size in the graph, R wanted rows.

/// <summary>Builds the inference graph of a Llama-type transformer, one method a layer, and writes its weights as it goes.</summary>
/// <remarks>Operators of ONNX opset 21 and of com.microsoft version 1. The rotation is Hugging Face's: halves of a head turn against each other.</remarks>
internal sealed class TransformerGraphBuilder(ModelConfig config, SafeTensorsReader weights, ExternalDataWriter data)
{
    private const string Microsoft = "com.microsoft";
    private readonly GraphProto _graph = new() { Name = "transformer" };
    private readonly HeadLayout _heads = new(config);

    public GraphProto Build()
    {
        DeclareInputs();
        WriteRotaryTables();
        string embedding = Initializer(WeightNames.Embedding, [config.VocabSize, config.HiddenSize], weights.ReadSingles(WeightNames.Embedding));
        string hidden = Node("Gather", "embed", [embedding, GraphNames.InputIds]);
        var (normed, residual) = FirstNorm(hidden);
        for (int layer = 0; layer < config.NumHiddenLayers; layer++)
        {
            string attended = Attention(layer, normed);
            (normed, residual) = AddAndNorm(WeightNames.PostAttentionNorm(layer), attended, residual);
            string fed = FeedForward(layer, normed);
            bool last = layer == config.NumHiddenLayers - 1;
            (normed, residual) = AddAndNorm(last ? WeightNames.FinalNorm : WeightNames.InputNorm(layer + 1), fed, residual);
        }
        Head(normed, embedding);
        return _graph;
    }

    private void DeclareInputs()
    {
        Declare(_graph.Input, GraphNames.InputIds, TensorProto.Types.DataType.Int64, "B", "S");
        Declare(_graph.Input, GraphNames.SequenceLengths, TensorProto.Types.DataType.Int32, "B");
        Declare(_graph.Input, GraphNames.TotalLength, TensorProto.Types.DataType.Int32, 1L);
        Declare(_graph.Input, GraphNames.LogitIndex, TensorProto.Types.DataType.Int64, "R");
        Declare(_graph.Output, GraphNames.Logits, TensorProto.Types.DataType.Float, "R", (long)config.VocabSize);
        for (int layer = 0; layer < config.NumHiddenLayers; layer++)
        {
            foreach (var (list, name) in new[] { (_graph.Input, GraphNames.PastKey(layer)), (_graph.Input, GraphNames.PastValue(layer)), (_graph.Output, GraphNames.PresentKey(layer)), (_graph.Output, GraphNames.PresentValue(layer)) })
            {
                Declare(list, name, TensorProto.Types.DataType.Float, "B", (long)config.NumKeyValueHeads, "M", (long)_heads.Size);
            }
        }
    }

    private void WriteRotaryTables()
    {
        var (cos, sin) = _heads.RotaryTables(config.MaxPositionEmbeddings);
        Initializer("rotary.cos", [config.MaxPositionEmbeddings, _heads.Size / 2], cos);
        Initializer("rotary.sin", [config.MaxPositionEmbeddings, _heads.Size / 2], sin);
    }

    private (string Normed, string Residual) FirstNorm(string hidden)
    {
        string name = WeightNames.InputNorm(0);
        string scale = Initializer(name, [config.HiddenSize], weights.ReadSingles(name));
        // The runtime registers this operator under the default domain.
        string normed = Node("SimplifiedLayerNormalization", "layer.0.input_norm", [hidden, scale], attributes: [Integer("axis", -1), Float("epsilon", config.RmsNormEps), Integer("stash_type", 1)]);
        return (normed, hidden);
    }

    private (string Normed, string Residual) AddAndNorm(string weight, string addend, string residual)
    {
        string scale = Initializer(weight, [config.HiddenSize], weights.ReadSingles(weight));
        string stem = weight.Replace("model.", "", StringComparison.Ordinal).Replace(".weight", "", StringComparison.Ordinal);
        var node = Add("SkipSimplifiedLayerNormalization", stem, [addend, residual, scale], [$"{stem}.out", "", "", $"{stem}.residual"], Microsoft, [Float("epsilon", config.RmsNormEps)]);
        return (node.Output[0], node.Output[3]);
    }

    private string Attention(int layer, string normed)
    {
        int width = config.HiddenSize, heads = config.NumAttentionHeads, keyValueHeads = config.NumKeyValueHeads;
        float[] packed =
        [
            .. _heads.WidenRows(weights.ReadSingles(WeightNames.Query(layer)), heads, width),
            .. _heads.WidenRows(weights.ReadSingles(WeightNames.Key(layer)), keyValueHeads, width),
            .. _heads.WidenRows(weights.ReadSingles(WeightNames.Value(layer)), keyValueHeads, width),
        ];
        string qkv = Linear($"layer.{layer}.qkv", normed, packed, (heads + 2 * keyValueHeads) * _heads.Size, width);
        string stem = $"layer.{layer}.attention";
        Add("GroupQueryAttention", stem,
            [qkv, "", "", GraphNames.PastKey(layer), GraphNames.PastValue(layer), GraphNames.SequenceLengths, GraphNames.TotalLength, "rotary.cos", "rotary.sin"],
            [$"{stem}.out", GraphNames.PresentKey(layer), GraphNames.PresentValue(layer)], Microsoft,
            [
                Integer("num_heads", heads), Integer("kv_num_heads", keyValueHeads), Integer("do_rotary", 1), Integer("rotary_interleaved", 0),
                Float("scale", (float)(1 / Math.Sqrt(config.HeadDim))),
            ]);
        // The stored projection is [C, H*D]; its transpose has a row for each value of a head.
        float[] transposed = Transpose(weights.ReadSingles(WeightNames.AttentionOutput(layer)), width, heads * config.HeadDim);
        return MatMul($"layer.{layer}.o_proj", $"{stem}.out", _heads.WidenRows(transposed, heads, width), heads * _heads.Size, width);
    }

    private string FeedForward(int layer, string normed)
    {
        int width = config.HiddenSize, inner = config.IntermediateSize;
        float[] packed = [.. weights.ReadSingles(WeightNames.Gate(layer)), .. weights.ReadSingles(WeightNames.Up(layer))];
        string gateUp = Linear($"layer.{layer}.gate_up", normed, packed, 2 * inner, width);
        string stem = $"layer.{layer}.mlp";
        var split = Add("Split", $"{stem}.split", [gateUp], [$"{stem}.gate", $"{stem}.up"], "", [Integer("axis", -1), Integer("num_outputs", 2)]);
        // QuickGelu with alpha 1 is x * sigmoid(x), SiLU.
        string activated = Node("QuickGelu", $"{stem}.silu", [split.Output[0]], Microsoft, Float("alpha", 1));
        string product = Node("Mul", $"{stem}.product", [activated, split.Output[1]]);
        return Linear($"layer.{layer}.down", product, weights.ReadSingles(WeightNames.Down(layer)), width, inner);
    }

    private void Head(string normed, string embedding)
    {
        // Only wanted rows go through the head: no [B*S, V] is ever made.
        string shape = Constant("head.shape", -1, config.HiddenSize);
        string rows = Node("Reshape", "head.rows", [normed, shape]);
        string wanted = Node("Gather", "head.wanted", [rows, GraphNames.LogitIndex], attributes: [Integer("axis", 0)]);
        string head = config.TieWordEmbeddings ? embedding : Initializer(WeightNames.Head, [config.VocabSize, config.HiddenSize], weights.ReadSingles(WeightNames.Head));
        Add("Gemm", "head", [wanted, head], [GraphNames.Logits], "", [Integer("transB", 1)]);
    }

    /// <summary>x times the transpose of a weight [rows, columns].</summary>
    private string Linear(string name, string input, float[] weight, int rows, int columns) =>
        MatMul(name, input, Transpose(weight, rows, columns), columns, rows);

    private string MatMul(string name, string input, float[] weight, int rows, int columns) =>
        Node("MatMul", name, [input, Initializer($"{name}.weight", [rows, columns], weight)]);

    // Square by square, so that both sides stay in the processor's cache.
    private static float[] Transpose(ReadOnlySpan<float> matrix, int rows, int columns)
    {
        const int Side = 32;
        var result = new float[matrix.Length];
        for (int top = 0; top < rows; top += Side)
        {
            for (int left = 0; left < columns; left += Side)
            {
                for (int row = top; row < Math.Min(top + Side, rows); row++)
                {
                    for (int column = left; column < Math.Min(left + Side, columns); column++)
                    {
                        result[column * rows + row] = matrix[row * columns + column];
                    }
                }
            }
        }
        return result;
    }

    private string Initializer(string name, long[] shape, ReadOnlySpan<float> values)
    {
        _graph.Initializer.Add(data.Write(name, shape, values));
        return name;
    }

    private string Constant(string name, params long[] values)
    {
        var tensor = new TensorProto { Name = name, DataType = (int)TensorProto.Types.DataType.Int64, RawData = ByteString.CopyFrom(System.Runtime.InteropServices.MemoryMarshal.AsBytes<long>(values)) };
        tensor.Dims.Add(values.Length);
        _graph.Initializer.Add(tensor);
        return name;
    }

    private string Node(string op, string name, string[] inputs, string domain = "", params AttributeProto[] attributes) =>
        Add(op, name, inputs, [$"{name}.out"], domain, attributes).Output[0];

    private NodeProto Add(string op, string name, string[] inputs, string[] outputs, string domain, AttributeProto[] attributes)
    {
        var node = new NodeProto { OpType = op, Name = name, Domain = domain };
        node.Input.AddRange(inputs);
        node.Output.AddRange(outputs);
        node.Attribute.AddRange(attributes);
        _graph.Node.Add(node);
        return node;
    }

    private static AttributeProto Integer(string name, long value) => new() { Name = name, I = value, Type = AttributeType.Int };

    private static AttributeProto Float(string name, float value) => new() { Name = name, F = value, Type = AttributeType.Float };

    private static void Declare(Google.Protobuf.Collections.RepeatedField<ValueInfoProto> list, string name, TensorProto.Types.DataType type, params object[] dimensions)
    {
        var shape = new TensorShapeProto();
        foreach (object dimension in dimensions)
        {
            shape.Dim.Add(dimension is long size ? new TensorShapeProto.Types.Dimension { DimValue = size } : new TensorShapeProto.Types.Dimension { DimParam = (string)dimension });
        }
        list.Add(new ValueInfoProto { Name = name, Type = new TypeProto { TensorType = new TypeProto.Types.Tensor { ElemType = (int)type, Shape = shape } } });
    }
}
