namespace TrainServe.Export;

/// <summary>How weights and cache are stored in the graph.</summary>
public sealed record ExportPrecision
{
    private ExportPrecision(string name) => Name = name;

    /// <summary>The folder's name below <c>onnx/</c>.</summary>
    public string Name { get; }

    /// <summary>Bits of a weight of the layers: 32, 16, 8 or 4.</summary>
    public int WeightBits { get; private init; } = 32;

    /// <summary>Bits of a weight of the embedding and the head.</summary>
    public int HeadBits { get; private init; } = 32;

    /// <summary>Consecutive weights of a row that share a scale. 0 where weights are not quantized.</summary>
    public int BlockSize { get; private init; }

    /// <summary>Whether a product of the layers is a sum of bytes over a whole row, with one scale for each output and one for each row of activations, found while the graph runs.</summary>
    /// <remarks>
    /// Such sums are exact, so that a row's result does not depend on the rows beside it; and with a block's own scales a product takes twice as long.
    /// See Dettmers et al., LLM.int8(), 2022 (vector-wise quantization).
    /// </remarks>
    public bool SumsWholeRows { get; private init; }

    /// <summary>Bits of a cached key or value: 32, 16 or 8.</summary>
    public int CacheBits { get; private init; } = 32;

    /// <summary>By how much the perplexity may rise, as a part of that of single precision.</summary>
    public double MaxPerplexityIncrease { get; private init; }

    /// <summary>Whether weights are whole numbers with scales.</summary>
    public bool IsQuantized => WeightBits <= 8;

    /// <summary>Whether weights, activations and cache are in half precision, which is what GPUs compute fast.</summary>
    public bool IsHalf => WeightBits == 16;

    /// <summary>Whether the export rounds the weights, so that it has a cost against single precision.</summary>
    public bool Rounds => WeightBits < 32;

    /// <summary>Weights and cache as they are, in single precision.</summary>
    public static ExportPrecision Fp32 { get; } = new("fp32");

    /// <summary>Everything in half precision, for GPUs; logits in single precision.</summary>
    public static ExportPrecision Fp16 { get; } = new("fp16") { WeightBits = 16, HeadBits = 16, CacheBits = 16, MaxPerplexityIncrease = 0.005 };

    /// <summary>Everything in eight bits.</summary>
    public static ExportPrecision Int8 { get; } = new("int8") { WeightBits = 8, HeadBits = 8, BlockSize = 64, SumsWholeRows = true, CacheBits = 8, MaxPerplexityIncrease = 0.01 };

    /// <summary>Layers in four bits, embedding, head and cache in eight.</summary>
    /// <remarks>Blocks of 32, because at larger ones the kernel gives an odd last row of a batch other results than an even one.</remarks>
    public static ExportPrecision Int4 { get; } = new("int4") { WeightBits = 4, HeadBits = 8, BlockSize = 32, CacheBits = 8, MaxPerplexityIncrease = 0.04 };

    /// <summary>Every precision, the most exact first.</summary>
    public static IReadOnlyList<ExportPrecision> All { get; } = [Fp32, Fp16, Int8, Int4];

    /// <exception cref="ArgumentException">There is no such precision.</exception>
    public static ExportPrecision Parse(string name) => All.FirstOrDefault(precision => precision.Name == name)
        ?? throw new ArgumentException($"The precision is {name}; it must be one of {string.Join(", ", All)}.", nameof(name));

    public override string ToString() => Name;
}
