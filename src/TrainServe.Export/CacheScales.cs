namespace TrainServe.Export;

// K key-value heads, P head size in the graph.

/// <summary>What one step of an eight-bit cached number is worth, for each place of each head: [K*P] a layer.</summary>
/// <remarks>A cached number is round(value / scale), clamped to [-128, 127]. Measured on text when a model is published.</remarks>
public sealed record CacheScales(IReadOnlyList<float[]> Keys, IReadOnlyList<float[]> Values);
