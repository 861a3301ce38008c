namespace TrainServe.Training.Data.Cleaning;

/// <summary>How <see cref="DataCleaner"/> decides.</summary>
public sealed record CleaningOptions
{
    /// <summary>The rules that a text must pass; <see cref="QualityRules.All"/> by default.</summary>
    public IReadOnlyList<QualityRule> Rules { get; init; } = QualityRules.All;

    /// <summary>Two texts are near-duplicates when the Jaccard similarity of their shingles is at least this; above 0, at most 1.</summary>
    public double JaccardThreshold { get; init; } = 0.8;

    /// <summary>Whether near-duplicates are looked for at all; exact ones always are.</summary>
    public bool NearDuplicates { get; init; } = true;

    /// <summary>Whether bad records are counted and left out, rather than stop the cleaning.</summary>
    public bool SkipBadRecords { get; init; }

    /// <summary>Texts examined at once. What is kept does not depend on it.</summary>
    public int Threads { get; init; } = Environment.ProcessorCount;
}
