namespace TrainServe.Core.Chat;

/// <summary>Which conversations can be trained on, and which can be answered.</summary>
public static class ConversationRules
{
    /// <summary>Why a conversation cannot be trained on, as the end of a sentence; null when it can.</summary>
    public static string? FaultForTraining(IReadOnlyList<ChatMessage> messages)
    {
        if (messages.Count == 0)
        {
            return "has no messages";
        }
        ChatMessage? previous = null;
        for (int i = 0; i < messages.Count; i++)
        {
            var message = messages[i];
            if (FaultOfOrder(previous, message) is { } fault)
            {
                return $"breaks the order of roles at message {i + 1}: {fault}";
            }
            if (FaultOfMessage(message) is { } flaw)
            {
                return $"has a message {i + 1} that {flaw}";
            }
            previous = message;
        }
        return messages.Any(message => message.Role == ChatRole.Assistant) ? null : "has no assistant turn, so there is nothing to learn";
    }

    /// <exception cref="InvalidDataException">The conversation cannot be trained on.</exception>
    public static void RequireTrainable(IReadOnlyList<ChatMessage> messages)
    {
        ArgumentNullException.ThrowIfNull(messages);
        if (FaultForTraining(messages) is { } fault)
        {
            throw new InvalidDataException($"The conversation {fault}.");
        }
    }

    /// <summary>Servers take any order of roles, as OpenAI's does; but there must be something to answer.</summary>
    /// <exception cref="InvalidDataException">The conversation cannot be answered.</exception>
    public static void RequireAnswerable(IReadOnlyList<ChatMessage> messages)
    {
        ArgumentNullException.ThrowIfNull(messages);
        if (messages.Count == 0)
        {
            throw new InvalidDataException("The conversation has no messages.");
        }
        if (messages[^1].Role == ChatRole.Assistant)
        {
            throw new InvalidDataException("The conversation ends with a message of the assistant, so there is nothing to answer.");
        }
        for (int i = 0; i < messages.Count; i++)
        {
            if (messages[i].ToolCalls is { Count: > 0 } && FaultOfMessage(messages[i]) is { } flaw)
            {
                throw new InvalidDataException($"The conversation has a message {i + 1} that {flaw}.");
            }
        }
    }

    private static string? FaultOfOrder(ChatMessage? previous, ChatMessage message) => (previous?.Role, message.Role) switch
    {
        (null, ChatRole.System or ChatRole.User) => null,
        (null, var role) => $"it starts with {role.Name()}; it must start with system or user",
        (_, ChatRole.System) => "system may only come first",
        (ChatRole.System, not ChatRole.User) => $"{message.Role.Name()} follows system; user must",
        (ChatRole.User, ChatRole.User) => "user follows user",
        (ChatRole.Assistant, ChatRole.Assistant) => "assistant follows assistant",
        (ChatRole.User, ChatRole.Tool) => "tool follows user; it must follow the assistant's call",
        (ChatRole.Assistant, ChatRole.Tool) when previous!.ToolCalls is not { Count: > 0 } => "tool follows an assistant turn that calls no tool",
        (ChatRole.Tool, ChatRole.User) => "user follows tool; the assistant must",
        _ => null,
    };

    private static string? FaultOfMessage(ChatMessage message)
    {
        if (message.ToolCalls is { Count: > 0 } calls)
        {
            if (message.Role != ChatRole.Assistant)
            {
                return $"calls a tool as {message.Role.Name()}; only the assistant can";
            }
            foreach (var call in calls)
            {
                if (call.Name.Length is 0 or > 64 || !call.Name.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '_' or '-' or '.'))
                {
                    return $"calls a tool by the name '{call.Name}'; a name is 1 to 64 letters, digits, '_', '-' and '.'";
                }
            }
            return null;
        }
        return message.Role == ChatRole.Assistant && string.IsNullOrWhiteSpace(message.Content) ? "is an empty turn of the assistant" : null;
    }
}
