namespace TrainServe.Core.Sampling;

/// <summary>How the next token is chosen. Applied in this order: logit bias, repetition, frequency and presence penalty, the request's constraint, temperature, top-k, top-p, min-p.</summary>
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
        Require(Temperature is >= 0 and <= 100, nameof(Temperature), Temperature, "from 0 to 100");
        Require(TopK >= 0, nameof(TopK), TopK, "0 or more");
        Require(TopP is > 0 and <= 1, nameof(TopP), TopP, "above 0 and at most 1");
        Require(MinP is >= 0 and <= 1, nameof(MinP), MinP, "from 0 to 1");
        Require(FrequencyPenalty is >= -2 and <= 2, nameof(FrequencyPenalty), FrequencyPenalty, "from -2 to 2");
        Require(PresencePenalty is >= -2 and <= 2, nameof(PresencePenalty), PresencePenalty, "from -2 to 2");
        Require(RepetitionPenalty is >= 0.01f and <= 100, nameof(RepetitionPenalty), RepetitionPenalty, "from 0.01 to 100");
        Require(TopLogProbs >= 0 && TopLogProbs <= vocabSize, nameof(TopLogProbs), TopLogProbs, "from 0 to the size of the vocabulary");
        foreach (var (id, bias) in LogitBias ?? new Dictionary<int, float>())
        {
            Require(id >= 0 && id < vocabSize, nameof(LogitBias), id, $"for tokens from 0 to {vocabSize - 1}");
            Require(bias is >= -100 and <= 100, nameof(LogitBias), bias, "from -100 to 100");
        }
        return this;

        static void Require(bool holds, string name, object value, string rule)
        {
            if (!holds)
            {
                throw new ArgumentException($"{name} is {value}; it must be {rule}.", name);
            }
        }
    }
}
