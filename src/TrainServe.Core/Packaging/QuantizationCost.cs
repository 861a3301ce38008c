using System.Globalization;

namespace TrainServe.Core.Packaging;

/// <summary>What fewer bits cost a model, against its own export in single precision on the same text.</summary>
public sealed record QuantizationCost
{
    /// <summary>The text that was read: a file, or the model's own samples.</summary>
    public required string Source { get; init; }

    /// <summary>Of the file; null for samples.</summary>
    public string? SourceSha256 { get; init; }

    /// <summary>Tokens that were predicted. The scales of the cache were measured on others.</summary>
    public required int Tokens { get; init; }

    /// <summary>In single precision.</summary>
    public required double ReferencePerplexity { get; init; }
    public required double Perplexity { get; init; }

    /// <summary>By how much the perplexity may rise, as a part of the reference.</summary>
    public required double MaxIncrease { get; init; }

    /// <summary>Part of the tokens where both would choose the same most likely one.</summary>
    public required double GreedyAgreement { get; init; }

    /// <summary>Mean divergence of the two distributions, KL(single precision || this), in nats a token.</summary>
    public required double Divergence { get; init; }

    /// <summary>As a part of the reference; negative where it fell.</summary>
    public double Increase() => Perplexity / ReferencePerplexity - 1;

    /// <summary>For people: both perplexities and the change.</summary>
    public string PerplexityChange()
    {
        // What rounds to nothing has no sign.
        double increase = Math.Round(Increase(), 4) + 0.0;
        return string.Create(CultureInfo.InvariantCulture, $"perplexity {ReferencePerplexity:F4} -> {Perplexity:F4} ({increase:+0.00%;-0.00%})");
    }

    /// <summary>The first rule that is broken, or null.</summary>
    public string? Failure()
    {
        if (Tokens <= 0)
        {
            return "the cost was measured on nothing";
        }
        return Increase() <= MaxIncrease ? null : $"the perplexity rises from {ReferencePerplexity:G6} to {Perplexity:G6}, by {Increase():P2}, more than {MaxIncrease:P1}";
    }
}
