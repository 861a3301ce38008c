using System.Text.Json;
using System.Text.Json.Serialization;

namespace TrainServe.Server.Contracts;

/// <summary>The whole answer in Anthropic's form, and what its stream begins with.</summary>
/// <param name="Id">Begins with <c>msg_</c>.</param>
/// <param name="StopReason">end_turn, max_tokens, stop_sequence or tool_use; null at the beginning of a stream.</param>
/// <param name="StopSequence">The stop text that was met.</param>
internal sealed record AnthropicMessage(string Id, string Model, IReadOnlyList<ContentBlock> Content, string? StopReason, string? StopSequence, AnthropicUsage Usage)
{
    public string Type => "message";
    public string Role => "assistant";
    public string? Container => null;
}

/// <summary>A text, or the call of a tool.</summary>
internal sealed record ContentBlock(string Type)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Text { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Id { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Name { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public JsonElement? Input { get; init; }

    private static JsonDocument Parse(string arguments)
    {
        try
        {
            return JsonDocument.Parse(arguments, new JsonDocumentOptions { MaxDepth = 1000 });
        }
        catch (JsonException)
        {
            return JsonDocument.Parse("{}");
        }
    }

    /// <param name="id">As OpenAI's, which begins otherwise.</param>
    /// <param name="name">The tool's.</param>
    /// <param name="arguments">JSON; what a limit of tokens cut off counts for nothing, as a block cannot hold a part of an object.</param>
    public static ContentBlock OfCall(string id, string name, string arguments)
    {
        using var input = Parse(arguments);
        return new ContentBlock("tool_use") { Id = id.Replace("call_", "toolu_", StringComparison.Ordinal), Name = name, Input = input.RootElement.Clone() };
    }

    public static ContentBlock OfText(string text) => new("text") { Text = text };
}

/// <param name="InputTokens">The prompt as the model saw it, without what came from the cache.</param>
/// <param name="CacheReadInputTokens">Prompt tokens that did not have to be computed again.</param>
internal sealed record AnthropicUsage(int InputTokens, int OutputTokens, int CacheReadInputTokens)
{
    public int CacheCreationInputTokens => 0;
    public string ServiceTier => "standard";

    public static AnthropicUsage Of(CompletionUsage usage)
    {
        int cached = usage.PromptTokensDetails.CachedTokens;
        return new AnthropicUsage(usage.PromptTokens - cached, usage.CompletionTokens, cached);
    }
}

internal sealed record TokenCount(int InputTokens);

internal sealed record MessageStartEvent(AnthropicMessage Message)
{
    public string Type => "message_start";
}

internal sealed record ContentBlockStartEvent(int Index, ContentBlock ContentBlock)
{
    public string Type => "content_block_start";
}

internal sealed record ContentBlockDeltaEvent(int Index, ContentBlockDelta Delta)
{
    public string Type => "content_block_delta";
}

/// <summary>More text, or more of a tool's arguments.</summary>
internal sealed record ContentBlockDelta(string Type)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Text { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? PartialJson { get; init; }
}

internal sealed record ContentBlockStopEvent(int Index)
{
    public string Type => "content_block_stop";
}

internal sealed record MessageDeltaEvent(MessageDelta Delta, AnthropicUsage Usage)
{
    public string Type => "message_delta";
}

internal sealed record MessageDelta(string StopReason, string? StopSequence);

/// <summary>An event that is only its name: message_stop, ping.</summary>
internal sealed record BareEvent(string Type);

/// <summary>A failure in Anthropic's form.</summary>
internal sealed record AnthropicError(AnthropicErrorDetail Error, string? RequestId)
{
    public string Type => "error";
}

internal sealed record AnthropicErrorDetail(string Type, string Message);
