using System.Text.Json.Serialization;

namespace TrainServe.Server.Contracts;

/// <summary>One event of a streamed answer.</summary>
/// <param name="Id">The same in all chunks of an answer, as are the time and the fingerprint.</param>
internal record ChatCompletionChunk(string Id, long Created, string Model, IReadOnlyList<ChunkChoice> Choices, string SystemFingerprint)
{
    public string Object => "chat.completion.chunk";
    public string ServiceTier => "default";
}

/// <summary>A chunk of a stream with <c>include_usage</c>: null in all but the last.</summary>
internal sealed record ChatCompletionUsageChunk(
    string Id, long Created, string Model, IReadOnlyList<ChunkChoice> Choices, string SystemFingerprint, CompletionUsage? Usage)
    : ChatCompletionChunk(Id, Created, Model, Choices, SystemFingerprint);

internal sealed record ChunkChoice(int Index, ChunkDelta Delta, ChoiceLogProbs? Logprobs, string? FinishReason);

/// <summary>What is new: role and empty content first, then content, and nothing with the finish reason.</summary>
internal sealed record ChunkDelta
{
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Role { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Content { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<ChunkToolCall>? ToolCalls { get; init; }
}

/// <summary>A piece of the call of a tool: id, type and name in the first one, more of the arguments in each.</summary>
internal sealed record ChunkToolCall(int Index, ChunkFunction Function)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Id { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Type => Id is null ? null : "function";
}

internal sealed record ChunkFunction(string Arguments)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Name { get; init; }
}
