using System.Text.Json;
using System.Text.Json.Serialization;

namespace TrainServe.Server.Contracts;

/// <summary>An answer of the Responses API, and what the events of its stream carry.</summary>
/// <param name="Id">Begins with <c>resp_</c>.</param>
/// <param name="CreatedAt">Seconds since 1970.</param>
/// <param name="Status">in_progress, completed or incomplete.</param>
internal sealed record ResponseObject(string Id, long CreatedAt, string Status, string Model, IReadOnlyList<ResponseItem> Output)
{
    public string Object => "response";
    public long? CompletedAt { get; init; }
    public ResponseFault? Error => null;
    public IncompleteDetails? IncompleteDetails { get; init; }
    public string? Instructions { get; init; }
    public int? MaxOutputTokens { get; init; }
    public bool ParallelToolCalls { get; init; }
    public string? PreviousResponseId => null;
    public ResponseReasoning Reasoning { get; } = new();
    public bool Background => false;
    public bool Store => false;
    public string ServiceTier => "default";
    public float Temperature { get; init; }
    public float TopP { get; init; }
    public int TopLogprobs { get; init; }
    public required JsonElement Text { get; init; }
    public required JsonElement ToolChoice { get; init; }
    public required JsonElement Tools { get; init; }
    public required JsonElement Metadata { get; init; }
    public string Truncation => "disabled";
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ResponseUsage? Usage { get; init; }

    /// <summary>Names the model version that made the answer; not part of OpenAI's description.</summary>
    public required string SystemFingerprint { get; init; }
}

internal sealed record ResponseFault(string Code, string Message);

/// <param name="Reason">max_output_tokens.</param>
internal sealed record IncompleteDetails(string Reason);

internal sealed record ResponseReasoning
{
    public string? Effort => null;
    public string? Summary => null;
}

internal sealed record ResponseUsage(int InputTokens, InputTokensDetails InputTokensDetails, int OutputTokens, OutputTokensDetails OutputTokensDetails, int TotalTokens)
{
    public static ResponseUsage Of(CompletionUsage usage) => new(
        usage.PromptTokens, new InputTokensDetails(usage.PromptTokensDetails.CachedTokens), usage.CompletionTokens, new OutputTokensDetails(), usage.TotalTokens);
}

internal sealed record InputTokensDetails(int CachedTokens)
{
    public int CacheWriteTokens => 0;
}

internal sealed record OutputTokensDetails
{
    public int ReasoningTokens => 0;
}

/// <summary>A message, or the call of a function.</summary>
/// <param name="Status">in_progress, completed or incomplete.</param>
internal sealed record ResponseItem(string Id, string Type, string Status)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Role { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<ResponsePart>? Content { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? CallId { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Name { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Arguments { get; init; }

    public static ResponseItem Message(string id, string status, params ResponsePart[] content) => new(id, "message", status) { Role = "assistant", Content = content };

    public static ResponseItem Call(string id, string status, string callId, string name, string arguments) =>
        new(id, "function_call", status) { CallId = callId, Name = name, Arguments = arguments };
}

internal sealed record ResponsePart(string Text, IReadOnlyList<TokenLogProbEntry> Logprobs)
{
    public string Type => "output_text";
    public IReadOnlyList<string> Annotations => [];
}

/// <summary>An event of the stream; each kind has the fields that it needs.</summary>
/// <param name="Type">The event's name as well.</param>
/// <param name="SequenceNumber">From 0.</param>
internal sealed record ResponseEvent(string Type, int SequenceNumber)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ResponseObject? Response { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? ItemId { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? OutputIndex { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? ContentIndex { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ResponseItem? Item { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ResponsePart? Part { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Delta { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Text { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Name { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Arguments { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<TokenLogProbEntry>? Logprobs { get; init; }
}

internal sealed record ResponseErrorEvent(string? Code, string Message, string? Param, int SequenceNumber)
{
    public string Type => "error";
}
