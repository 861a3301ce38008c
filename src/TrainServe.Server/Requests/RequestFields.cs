using TrainServe.Core.Chat;
using TrainServe.Inference.Constraints;

namespace TrainServe.Server.Requests;

/// <summary>What the body of every route may say.</summary>
internal record RequestFields
{
    public string? Model { get; init; }
}

/// <summary>What a caller may say about how text is made, on whatever route; null where the caller said nothing.</summary>
internal record GenerationFields : RequestFields
{
    public bool Stream { get; init; }
    public StreamOptions? StreamOptions { get; init; }
    public float? Temperature { get; init; }
    public float? TopP { get; init; }
    public int? TopK { get; init; }
    public float? TypicalP { get; init; }
    public float? MinP { get; init; }

    /// <summary>Answers to make to each prompt.</summary>
    public int N { get; init; } = 1;

    /// <summary>Tokens of an answer at most.</summary>
    public int? MaxTokens { get; init; }
    public IReadOnlyList<string> Stop { get; init; } = [];
    public IReadOnlyList<int> StopTokenIds { get; init; } = [];
    public bool IgnoreEos { get; init; }

    /// <summary>Tokens before one may come that ends the answer.</summary>
    public int MinTokens { get; init; }

    /// <summary>The only tokens that the answer may have; null for all.</summary>
    public IReadOnlyList<int>? AllowedTokenIds { get; init; }

    /// <summary>Of waiting requests the lowest comes first.</summary>
    public int Priority { get; init; }

    /// <summary>Beginnings of prompts are shared among requests of the same salt only.</summary>
    public string? CacheSalt { get; init; }
    public long? Seed { get; init; }
    public bool Logprobs { get; init; }
    public int? TopLogprobs { get; init; }
    public IReadOnlyDictionary<int, float>? LogitBias { get; init; }
    public float? FrequencyPenalty { get; init; }
    public float? PresencePenalty { get; init; }
    public float? RepetitionPenalty { get; init; }

    /// <summary>What form the answer shall have; null for any text.</summary>
    public GrammarNode? Format { get; init; }

    public bool IncludesUsage => StreamOptions is { IncludeUsage: true };

    /// <summary>The rules between fields that hold on every route.</summary>
    /// <exception cref="InvalidRequestException">One is broken.</exception>
    public void RequireConsistent()
    {
        if (StreamOptions is not null && !Stream)
        {
            throw new InvalidRequestException("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options", "invalid_value");
        }
        if (TopLogprobs is not null && !Logprobs)
        {
            throw new InvalidRequestException("The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", "top_logprobs", "invalid_value");
        }
    }
}

/// <summary>A request whose prompt is a conversation.</summary>
internal record ConversationFields : GenerationFields
{
    public IReadOnlyList<ChatMessage>? Messages { get; init; }
    public IReadOnlyList<Tool> Tools { get; init; } = [];
    public ToolChoice ToolChoice { get; init; } = ToolChoice.Auto;
    public bool ParallelToolCalls { get; init; } = true;

    /// <summary>Whether the answer is kept, where the server keeps any.</summary>
    public bool Store { get; init; }

    /// <summary>What the caller writes to a kept answer.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; init; } = System.Collections.Frozen.FrozenDictionary<string, string>.Empty;

    /// <summary>Whether the answer may call tools.</summary>
    public bool CallsTools => Tools.Count > 0 && ToolChoice.Use != ToolUse.None;

    /// <summary>The rules between tools and the choice among them.</summary>
    /// <exception cref="InvalidRequestException">One is broken.</exception>
    public void RequireConsistentTools()
    {
        if (Tools.Count == 0 && ToolChoice.Use == ToolUse.Required)
        {
            throw new InvalidRequestException("Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.", "tool_choice", "invalid_value");
        }
    }
}

internal sealed record StreamOptions(bool IncludeUsage);
