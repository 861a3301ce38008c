namespace TrainServe.Core.Chat;

/// <summary>One turn of a conversation.</summary>
/// <param name="Role">Who speaks.</param>
/// <param name="Content">The text; empty where the assistant only calls tools.</param>
public sealed record ChatMessage(ChatRole Role, string Content)
{
    /// <summary>What the assistant calls in this turn, in order.</summary>
    public IReadOnlyList<ToolCall>? ToolCalls { get; init; }

    /// <summary>In a tool's message: which call it answers.</summary>
    public string? ToolCallId { get; init; }

    /// <summary>The speaker's or the tool's own name. Not shown to the model.</summary>
    public string? Name { get; init; }

    public static ChatMessage System(string content) => new(ChatRole.System, content);
    public static ChatMessage User(string content) => new(ChatRole.User, content);
    public static ChatMessage Assistant(string content) => new(ChatRole.Assistant, content);
}

/// <summary>A call of a tool by the assistant.</summary>
/// <param name="Id">Names the call; the tool's answer repeats it.</param>
/// <param name="Name">The tool's name.</param>
/// <param name="Arguments">A JSON object as text, exactly as the model wrote or shall write it.</param>
public sealed record ToolCall(string Id, string Name, string Arguments);
