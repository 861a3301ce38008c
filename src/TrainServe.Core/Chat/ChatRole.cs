namespace TrainServe.Core.Chat;

/// <summary>Who speaks.</summary>
public enum ChatRole
{
    /// <summary>Instructions that stand before the conversation.</summary>
    System,
    User,

    /// <summary>The model.</summary>
    Assistant,

    /// <summary>The result of a tool that the model called.</summary>
    Tool,
}

/// <summary>The roles' names on the wire and in templates.</summary>
public static class ChatRoles
{
    public static string Name(this ChatRole role) => role switch
    {
        ChatRole.System => "system",
        ChatRole.User => "user",
        ChatRole.Assistant => "assistant",
        ChatRole.Tool => "tool",
        _ => throw new ArgumentOutOfRangeException(nameof(role), role, "Not a role."),
    };

    /// <summary>The role of a name as OpenAI, ShareGPT and others spell it; null when nobody does.</summary>
    public static ChatRole? TryParse(string name) => name switch
    {
        "system" or "developer" => ChatRole.System,
        "user" or "human" => ChatRole.User,
        "assistant" or "gpt" or "model" or "bot" or "chatgpt" => ChatRole.Assistant,
        "tool" or "function" or "observation" or "function_response" => ChatRole.Tool,
        _ => null,
    };
}
