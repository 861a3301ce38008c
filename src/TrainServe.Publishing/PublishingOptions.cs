namespace TrainServe.Publishing;

/// <summary>How to measure what fewer bits cost.</summary>
public sealed record PublishingOptions
{
    /// <summary>Text that the model was not trained on: a .txt or .jsonl file, packed or not. Null lets the model write its own.</summary>
    public string? HeldOutPath { get; init; }

    /// <summary>By how much the perplexity may rise, as a part of that in single precision; null takes the precision's own limit.</summary>
    public double? MaxPerplexityIncrease { get; init; }

    /// <exception cref="InvalidDataException">The limit is negative or no number.</exception>
    public PublishingOptions Validated() => MaxPerplexityIncrease is null or >= 0
        ? this
        : throw new InvalidDataException($"The largest rise of the perplexity is {MaxPerplexityIncrease}; it must be 0 or more.");
}
