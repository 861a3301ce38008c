using TrainServe.Core.Sampling;

namespace TrainServe.Inference;

/// <summary>One continuation of one prompt.</summary>
public sealed record GenerationRequest
{
    /// <summary>Names the request in logs and errors; need not be unique.</summary>
    public required string Id { get; init; }

    /// <summary>At least one token, and fewer than the engine's context. Must not be changed while the request runs.</summary>
    public required IReadOnlyList<int> PromptIds { get; init; }

    /// <summary>Most tokens to generate; the engine's context may end the request earlier, with <see cref="FinishReason.Length"/>.</summary>
    public required int MaxNewTokens { get; init; }

    public SamplingParameters Sampling { get; init; } = new();

    /// <summary>Tokens that end the request, beside the model's own end-of-text tokens.</summary>
    public IReadOnlyList<int> StopTokenIds { get; init; } = [];

    /// <summary>Do not end at the model's own end-of-text tokens (<c>eos_token_id</c> of its config).</summary>
    public bool IgnoreEos { get; init; }

    /// <summary>Of waiting requests the highest comes first. It takes the slot of a running request of lower priority where none is free; that one goes on later, with the same tokens.</summary>
    public int Priority { get; init; }

    /// <summary>Longest time from now to the last token; after it the stream throws <see cref="DeadlineExceededException"/>, whether it waits or runs.</summary>
    public TimeSpan? TimeLimit { get; init; }

    /// <summary>Beginnings of prompts are shared among requests of the same salt only: give callers who must not learn of each other's prompts, from the time that an answer takes, one each.</summary>
    public string? CacheSalt { get; init; }

    /// <summary>What the answer must keep to, for this request alone; null where it is free. It is asked before each token, after the penalties and before the temperature.</summary>
    public ILogitsConstraint? Constraint { get; init; }
}
