using TrainServe.Core;

namespace TrainServe.Training.Benchmarks;

/// <summary>A named shape to measure training on.</summary>
/// <param name="Name">What the user calls it.</param>
/// <param name="Config">The network.</param>
/// <param name="Rows">B, unless told otherwise.</param>
/// <param name="Columns">T, unless told otherwise.</param>
public sealed record TrainingShape(string Name, ModelConfig Config, int Rows, int Columns)
{
    /// <summary>The shapes that there are, smallest first.</summary>
    public static IReadOnlyList<TrainingShape> All { get; } =
    [
        Llama("1m", width: 128, inner: 384, layers: 4, heads: 4, vocabulary: 1024, rows: 32, columns: 128),
        Llama("3m", width: 192, inner: 512, layers: 6, heads: 6, vocabulary: 2048, rows: 16, columns: 256),
        Llama("13.8m", width: 384, inner: 1024, layers: 6, heads: 6, vocabulary: 8192, rows: 16, columns: 256),
        Llama("124m", width: 768, inner: 2048, layers: 12, heads: 12, vocabulary: 50304, rows: 4, columns: 64),
    ];

    /// <exception cref="ArgumentException">There is none of that name.</exception>
    public static TrainingShape Named(string name) => All.FirstOrDefault(shape => shape.Name.Equals(name, StringComparison.OrdinalIgnoreCase))
        ?? throw new ArgumentException($"There is no shape {name}; there are {string.Join(", ", All.Select(shape => shape.Name))}.", nameof(name));

    private static TrainingShape Llama(string name, int width, int inner, int layers, int heads, int vocabulary, int rows, int columns) => new(name, new ModelConfig
    {
        VocabSize = vocabulary,
        HiddenSize = width,
        IntermediateSize = inner,
        NumHiddenLayers = layers,
        NumAttentionHeads = heads,
        NumKeyValueHeads = heads,
        HeadDim = width / heads,
        MaxPositionEmbeddings = 1024,
        TieWordEmbeddings = true,
    }, rows, columns);
}
