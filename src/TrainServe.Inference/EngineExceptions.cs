namespace TrainServe.Inference;

/// <summary>Too much is waiting already; the request was not admitted and may be tried again later.</summary>
public sealed class QueueFullException(int waiting, int waitingPromptTokens)
    : Exception($"{waiting} requests with {waitingPromptTokens} prompt tokens are waiting already.")
{
    public int Waiting { get; } = waiting;
    public int WaitingPromptTokens { get; } = waitingPromptTokens;
}

/// <summary>The prompt leaves no room in the context for a single new token. Prompts are never cut.</summary>
public sealed class PromptTooLongException(int promptTokens, int contextLength)
    : Exception($"The prompt has {promptTokens} tokens; the context holds {contextLength} for prompt and answer together.")
{
    public int PromptTokens { get; } = promptTokens;
    public int ContextLength { get; } = contextLength;
}

/// <summary>The request's time was over before its last token.</summary>
public sealed class DeadlineExceededException(TimeSpan limit) : Exception($"The request was not finished within its {limit.TotalSeconds:0.###} seconds.")
{
    public TimeSpan Limit { get; } = limit;
}

/// <summary>The engine as a whole failed or was stopped; it answers no further request and must be loaded anew.</summary>
public sealed class EngineFaultException(string message, Exception? cause = null) : Exception(message, cause);
