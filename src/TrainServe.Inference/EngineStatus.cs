namespace TrainServe.Inference;

/// <summary>What an engine is doing, at one moment.</summary>
public sealed record EngineStatus
{
    /// <summary>Requests in prefill or decode.</summary>
    public required int Running { get; init; }

    /// <summary>Requests admitted that have no slot yet.</summary>
    public required int Waiting { get; init; }

    /// <summary>Prompt tokens of the waiting requests.</summary>
    public int WaitingPromptTokens { get; init; }

    /// <summary>Most requests that can run at the same time.</summary>
    public int Slots { get; init; }

    /// <summary>Tokens chosen since the engine was loaded.</summary>
    public long TokensGenerated { get; init; }

    /// <summary>Prompt tokens computed since the engine was loaded.</summary>
    public long PromptTokensComputed { get; init; }

    /// <summary>Prompt tokens that were copied from an earlier request's cache instead.</summary>
    public long PromptTokensCopied { get; init; }

    /// <summary>How often a running request gave its slot to one of higher priority.</summary>
    public long Preemptions { get; init; }

    /// <summary>Tokens that were guessed ahead.</summary>
    public long TokensDrafted { get; init; }

    /// <summary>Those of them that were right, and so came without a step of their own.</summary>
    public long DraftedTokensAccepted { get; init; }

    /// <summary>When the last token was chosen; null before the first.</summary>
    public DateTimeOffset? LastToken { get; init; }

    /// <summary>Time since the engine last completed a step, or since there was work again, whichever is shorter.</summary>
    public TimeSpan SinceProgress { get; init; }

    /// <summary>Why the engine will answer nothing more; null while it is sound.</summary>
    public string? Fault { get; init; }

    public bool IsHealthy => Fault is null;

    /// <summary>There is work, and no step was completed for longer than this.</summary>
    public bool IsStalled(TimeSpan limit) => Running + Waiting > 0 && SinceProgress > limit;
}
