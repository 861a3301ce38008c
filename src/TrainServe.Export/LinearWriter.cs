using TrainServe.Core.Packaging;
using static TrainServe.Export.GraphWriter;

namespace TrainServe.Export;

// N outputs, K inputs, V vocabulary, C width.

/// <summary>Adds matrix products, the embedding and the head to a graph, with weights of the wanted precision.</summary>
internal sealed class LinearWriter(GraphWriter graph, ExportPrecision precision)
{
    // Activations are rounded to eight bits a block, so that products are sums of bytes. Without it eight-bit weights are many times slower.
    private const int EightBitAccuracy = 4;

    /// <summary>x times the transpose of a weight [N, K].</summary>
    public string Linear(string name, string input, float[] weight, int outputs, int inputs) => precision.IsQuantized
        ? Product(name, input, Quantized($"{name}.weight", weight, outputs, inputs, precision.WeightBits), $"{name}.out")
        : graph.Node("MatMul", name, [input, graph.Initializer($"{name}.weight", [inputs, outputs], Transpose(weight, outputs, inputs))]);

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

    /// <summary>A stored matrix [N, K] and its scales.</summary>
    private sealed record Table(string Weight, string Scales, int Outputs, int Inputs, int Bits);
}
