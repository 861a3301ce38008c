using System.Globalization;

namespace TrainServe.Core.Sampling;

/// <summary>How the next token is chosen. Applied in this order: logit bias, repetition, frequency and presence penalty, the request's constraint, temperature, top-k, top-p, min-p, typical-p.</summary>
public sealed record SamplingParameters
{
    /// <summary>Always the most likely token.</summary>
    public static SamplingParameters Greedy { get; } = new() { Temperature = 0 };

    /// <summary>Divides the logits; 0 takes the most likely token.</summary>
    public float Temperature { get; init; } = 1;

    /// <summary>Keeps this many of the most likely tokens; 0 keeps all.</summary>
    public int TopK { get; init; }

    /// <summary>Keeps the fewest most likely tokens whose probabilities reach this sum (Holtzman et al. 2020, arXiv:1904.09751).</summary>
    public float TopP { get; init; } = 1;

    /// <summary>Drops tokens less likely than this part of the most likely one's probability (Nguyen et al. 2024, arXiv:2407.01082).</summary>
    public float MinP { get; init; }

    /// <summary>Keeps the fewest tokens whose surprise is nearest to the expected one and whose probabilities reach this sum (Meister et al. 2023, arXiv:2202.00666).</summary>
    public float TypicalP { get; init; } = 1;

    /// <summary>Subtracted for each time that a token was generated before.</summary>
    public float FrequencyPenalty { get; init; }

    /// <summary>Subtracted once if a token was generated before.</summary>
    public float PresencePenalty { get; init; }

    /// <summary>Divides positive and multiplies negative logits of tokens of the prompt or answer (Keskar et al. 2019, arXiv:1909.05858); 1 changes nothing.</summary>
    public float RepetitionPenalty { get; init; } = 1;

    /// <summary>Added to the logits of single tokens.</summary>
    public IReadOnlyDictionary<int, float>? LogitBias { get; init; }

    /// <summary>The same seed gives the same answer, whatever else runs; without one each request has its own.</summary>
    public ulong? Seed { get; init; }

    /// <summary>How many alternatives to report with each token.</summary>
    public int TopLogProbs { get; init; }

    public bool NeedsHistory => FrequencyPenalty != 0 || PresencePenalty != 0 || RepetitionPenalty != 1;

    /// <exception cref="ArgumentException">A value is outside its range; the message names it.</exception>
    public SamplingParameters Validated(int vocabSize)
    {
        Require(SamplingRanges.Temperature, Temperature, nameof(Temperature));
        Require(SamplingRanges.TopK, TopK, nameof(TopK));
        Require(SamplingRanges.TopP, TopP, nameof(TopP));
        Require(SamplingRanges.MinP, MinP, nameof(MinP));
        Require(SamplingRanges.TypicalP, TypicalP, nameof(TypicalP));
        Require(SamplingRanges.FrequencyPenalty, FrequencyPenalty, nameof(FrequencyPenalty));
        Require(SamplingRanges.PresencePenalty, PresencePenalty, nameof(PresencePenalty));
        Require(SamplingRanges.RepetitionPenalty, RepetitionPenalty, nameof(RepetitionPenalty));
        Require(SamplingRanges.TopLogProbs(vocabSize), TopLogProbs, nameof(TopLogProbs));
        foreach (var (id, bias) in LogitBias ?? new Dictionary<int, float>())
        {
            if (id < 0 || id >= vocabSize)
            {
                throw Wrong(nameof(LogitBias), $"is for token {id}; tokens are from 0 to {vocabSize - 1}.");
            }
            Require(SamplingRanges.LogitBias, bias, nameof(LogitBias));
        }
        return this;

        static void Require(NumberRange range, float value, string name)
        {
            if (!range.Contains(value))
            {
                throw Wrong(name, string.Create(CultureInfo.InvariantCulture, $"is {value}; it must be {range}."));
            }
        }

        static ArgumentException Wrong(string name, string fault) => new($"{name} {fault}", name);
    }
}
