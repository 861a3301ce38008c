using TrainServe.Core.Packaging;
using static TrainServe.Export.GraphWriter;
using DataType = TrainServe.Export.Protos.TensorProto.Types.DataType;

namespace TrainServe.Export;

// N outputs, K inputs, V vocabulary, C width.

/// <summary>Adds matrix products, the embedding and the head to a graph, with weights of the wanted precision.</summary>
internal sealed class LinearWriter(GraphWriter graph, ExportPrecision precision)
{
    // Activations are rounded to eight bits a block, so that products are sums of bytes. Without it eight-bit weights are many times slower.
    private const int EightBitAccuracy = 4;

    // Activations are stored without sign, as the kernels want them.
    private const byte Zero = 128;

    /// <summary>x [R, K] times the transpose of a weight [N, K].</summary>
    /// <param name="name">Of the product.</param>
    /// <param name="input">As <see cref="Operand"/> or an operator that ends in QuantizeRows gives it.</param>
    /// <param name="weight">[N, K]</param>
    /// <param name="outputs">N</param>
    /// <param name="inputs">K</param>
    public Rows Linear(string name, Rows input, float[] weight, int outputs, int inputs)
    {
        if (precision.SumsWholeRows)
        {
            return RowSums(name, input, weight, outputs, inputs);
        }
        return new Rows(precision.IsQuantized
            ? Product(name, input.Values, Quantized($"{name}.weight", weight, outputs, inputs, precision.WeightBits), $"{name}.out")
            : graph.Node("MatMul", name, [input.Values, graph.Initializer($"{name}.weight", [inputs, outputs], Transpose<float>(weight, outputs, inputs))]));
    }

    /// <summary>Numbers [R, K] as a product wants them.</summary>
    public Rows Operand(string name, string values) => precision.SumsWholeRows ? Rows.Of(graph.Node("QuantizeRows", name, [values], [$"{name}.out", $"{name}.scales"], GraphNames.KernelDomain)) : new Rows(values);

    /// <summary>The numbers that a product stands for, [R, N].</summary>
    public string Numbers(string name, Rows product) =>
        product.Scales is null ? product.Values : graph.Node("Mul", name, [product.Values, graph.Node("Reshape", $"{name}.scales", [product.Scales, graph.Constant("column", -1, 1)])]);

    /// <summary>Makes an output of the graph, which is in single precision whatever the graph computes in.</summary>
    /// <param name="name">Of the node that computes it.</param>
    /// <param name="output">Of the graph.</param>
    /// <param name="compute">Adds that node; what it is given is to be the name of what it computes.</param>
    /// <returns>What was computed, in the graph's own precision.</returns>
    public string Single(string name, string output, Action<string> compute)
    {
        if (!precision.IsHalf)
        {
            compute(output);
            return output;
        }
        string half = $"{name}.half";
        compute(half);
        graph.Node("Cast", $"{name}.single", [half], [output], "", Integer("to", (long)DataType.Float));
        return half;
    }

    /// <summary>A row of the table [V, C] for each id.</summary>
    public string Embedding(string ids, float[] weight, int vocabSize, int width)
    {
        if (!GathersBlocks(width))
        {
            return graph.Node("Gather", "embed", [graph.Initializer(WeightNames.Embedding, [vocabSize, width], weight), ids]);
        }
        var matrix = BlockQuantizer.Quantize(weight, vocabSize, width, precision.HeadBits, precision.BlockSize);
        string table = graph.Initializer(WeightNames.Embedding, [vocabSize, width], matrix.Packed), scales = graph.Initializer($"{WeightNames.Embedding}.scales", [vocabSize, matrix.Blocks], matrix.Scales);
        return graph.Node("GatherBlockQuantized", "embed", [table, ids, scales], Contrib,
            Integer("gather_axis", 0), Integer("quantize_axis", 1), Integer("block_size", precision.BlockSize), Integer("bits", precision.HeadBits));
    }

    /// <summary>x times the transpose of the embedding.</summary>
    public void TiedHead(string input, Func<float[]> weight, int vocabSize, int width, string output)
    {
        if (!precision.IsQuantized)
        {
            graph.Node("Gemm", "head", [input, WeightNames.Embedding], [output], "", Integer("transB", 1));
            return;
        }
        if (!GathersBlocks(width))
        {
            Head(input, weight(), vocabSize, width, output);
            return;
        }
        // The same bytes, seen as the product wants them.
        int blocks = width / precision.BlockSize;
        string table = graph.Alias("head.weight", [vocabSize, blocks, precision.BlockSize * precision.HeadBits / 8], WeightNames.Embedding);
        string scales = graph.Alias("head.weight.scales", [(long)vocabSize * blocks], $"{WeightNames.Embedding}.scales");
        Product("head", input, new Table(table, scales, vocabSize, width, precision.HeadBits), output);
    }

    /// <summary>x times the transpose of a head of its own, [V, C].</summary>
    public void Head(string input, float[] weight, int vocabSize, int width, string output)
    {
        if (precision.IsQuantized)
        {
            Product("head", input, Quantized(WeightNames.Head, weight, vocabSize, width, precision.HeadBits), output);
            return;
        }
        graph.Node("Gemm", "head", [input, graph.Initializer(WeightNames.Head, [vocabSize, width], weight)], [output], "", Integer("transB", 1));
    }

    // A sum is to be multiplied by the scale of its row of activations. Whoever reads it next does that on its way.
    private Rows RowSums(string name, Rows input, float[] weight, int outputs, int inputs)
    {
        var matrix = BlockQuantizer.Quantize(weight, outputs, inputs, bits: 8, blockSize: inputs);
        sbyte[] levels = Array.ConvertAll(matrix.Packed, level => (sbyte)(level - Zero));
        string stored = graph.Initializer($"{name}.weight", [inputs, outputs], Transpose<sbyte>(levels, outputs, inputs)), scales = graph.Initializer($"{name}.weight.scales", [outputs], matrix.Scales);
        return new Rows(graph.Node("MatMulIntegerToFloat", name, [input.Values, stored, graph.Scalar("one", 1f), scales, graph.Scalar("zero_point", Zero)], Contrib), input.Scales);
    }

    // The gather knows no block that is filled up.
    private bool GathersBlocks(int width) => precision.IsQuantized && width % precision.BlockSize == 0;

    private string Product(string name, string input, Table table, string output) => graph.Node("MatMulNBits", name, [input, table.Weight, table.Scales], [output], Contrib,
        Integer("K", table.Inputs), Integer("N", table.Outputs), Integer("bits", table.Bits), Integer("block_size", precision.BlockSize), Integer("accuracy_level", EightBitAccuracy)).Output[0];

    private Table Quantized(string name, float[] weight, int outputs, int inputs, int bits)
    {
        var matrix = BlockQuantizer.Quantize(weight, outputs, inputs, bits, precision.BlockSize);
        string stored = graph.Initializer(name, [outputs, matrix.Blocks, matrix.BlockBytes], matrix.Packed);
        return new Table(stored, graph.Initializer($"{name}.scales", [matrix.Scales.Length], matrix.Scales), outputs, inputs, bits);
    }

    // Square by square, so that both sides stay in the processor's cache.
    private static T[] Transpose<T>(ReadOnlySpan<T> matrix, int rows, int columns)
    {
        const int Side = 32;
        var result = new T[matrix.Length];
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

    /// <summary>A stored matrix [N, K] and its scales.</summary>
    private sealed record Table(string Weight, string Scales, int Outputs, int Inputs, int Bits);
}

/// <summary>Rows of activations, [R, C].</summary>
/// <param name="Values">Numbers, or bytes and sums of bytes, which only together with the scales stand for numbers.</param>
/// <param name="Scales">What the values of each row are to be multiplied by, [R]; null where they are the numbers.</param>
internal sealed record Rows(string Values, string? Scales = null)
{
    /// <summary>The first two outputs of an operator.</summary>
    public static Rows Of(Protos.NodeProto node) => new(node.Output[0], node.Output[1]);
}
