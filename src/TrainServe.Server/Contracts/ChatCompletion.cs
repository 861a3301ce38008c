using System.Text.Json.Serialization;

namespace TrainServe.Server.Contracts;

/// <summary>The whole answer to a chat request.</summary>
/// <param name="Id">Begins with <c>chatcmpl-</c>.</param>
/// <param name="Created">Seconds since 1970.</param>
/// <param name="SystemFingerprint">Names the model version that made the answer.</param>
internal sealed record ChatCompletion(
    string Id,
    long Created,
    string Model,
    IReadOnlyList<ChatChoice> Choices,
    CompletionUsage Usage,
    string SystemFingerprint)
{
    public string Object => "chat.completion";
    public string ServiceTier => "default";
}

/// <param name="FinishReason">stop, length or tool_calls.</param>
internal sealed record ChatChoice(int Index, AssistantMessage Message, ChoiceLogProbs? Logprobs, string FinishReason);

/// <param name="Content">Null where the message only calls tools.</param>
internal sealed record AssistantMessage(string? Content)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<MessageToolCall>? ToolCalls { get; init; }

    public string Role => "assistant";
    public string? Refusal => null;
    public IReadOnlyList<string> Annotations => [];
}

internal sealed record MessageToolCall(string Id, CalledFunction Function)
{
    public string Type => "function";
}

/// <param name="Arguments">JSON as text.</param>
internal sealed record CalledFunction(string Name, string Arguments);

/// <summary>Tokens that a request took.</summary>
/// <param name="PromptTokens">The prompt as the model saw it, once, however many choices.</param>
/// <param name="CompletionTokens">Every token that the model chose, for all choices, the ones that ended them included.</param>
internal sealed record CompletionUsage(int PromptTokens, int CompletionTokens)
{
    public int TotalTokens => PromptTokens + CompletionTokens;
    public PromptTokensDetails PromptTokensDetails { get; init; } = new(CachedTokens: 0);
    public CompletionTokensDetails CompletionTokensDetails { get; init; } = new();
}

/// <param name="CachedTokens">Tokens whose keys and values did not have to be computed again.</param>
internal sealed record PromptTokensDetails(int CachedTokens)
{
    public int AudioTokens => 0;
}

internal sealed record CompletionTokensDetails
{
    public int ReasoningTokens => 0;
    public int AudioTokens => 0;
    public int AcceptedPredictionTokens => 0;
    public int RejectedPredictionTokens => 0;
}

/// <summary>Log-probabilities in nats of the tokens that a piece of the answer is made of.</summary>
internal sealed record ChoiceLogProbs(IReadOnlyList<TokenLogProbEntry> Content)
{
    public IReadOnlyList<TokenLogProbEntry>? Refusal => null;
}

/// <param name="Bytes">The token's own UTF-8 bytes, which may be a part of a character; null for a control token.</param>
internal sealed record TokenLogProbEntry(string Token, float Logprob, IReadOnlyList<int>? Bytes, IReadOnlyList<TopLogProbEntry> TopLogprobs);

/// <inheritdoc cref="TokenLogProbEntry"/>
internal sealed record TopLogProbEntry(string Token, float Logprob, IReadOnlyList<int>? Bytes);
