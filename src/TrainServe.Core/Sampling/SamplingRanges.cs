using System.Globalization;

namespace TrainServe.Core.Sampling;

/// <summary>Numbers from <paramref name="Least"/> to <paramref name="Most"/>, both included.</summary>
public readonly record struct NumberRange(double Least, double Most)
{
    /// <summary>Whether a number that was rounded to single precision lies within; NaN does not.</summary>
    public bool Contains(float value) => value >= (float)Least && value <= (float)Most;

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"from {Least} to {Most}");
}

/// <summary>What the parameters of sampling may be: the one home of these numbers, for the engine and for whoever reads requests.</summary>
public static class SamplingRanges
{
    public static NumberRange Temperature { get; } = new(0, 2);

    /// <summary>0 leaves the most likely token.</summary>
    public static NumberRange TopP { get; } = new(0, 1);
    public static NumberRange MinP { get; } = new(0, 1);
    public static NumberRange TypicalP { get; } = new(0, 1);
    public static NumberRange FrequencyPenalty { get; } = new(-2, 2);
    public static NumberRange PresencePenalty { get; } = new(-2, 2);

    /// <summary>Smaller factors would make logits overflow.</summary>
    public static NumberRange RepetitionPenalty { get; } = new(0.01, 100);
    public static NumberRange LogitBias { get; } = new(-100, 100);

    /// <summary>0 keeps all.</summary>
    public static NumberRange TopK { get; } = new(0, int.MaxValue);

    /// <summary>There are no more alternatives than tokens.</summary>
    public static NumberRange TopLogProbs(int vocabSize) => new(0, vocabSize);
}
