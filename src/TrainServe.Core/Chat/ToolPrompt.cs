using System.Text;

namespace TrainServe.Core.Chat;

/// <summary>A function that the model may call.</summary>
/// <param name="Name">1 to 64 letters, digits, '_', '-' and '.'.</param>
/// <param name="Description">What it does, for the model; null for nothing.</param>
/// <param name="Parameters">The JSON schema of its arguments, on one line.</param>
public sealed record ToolDefinition(string Name, string? Description, string Parameters);

/// <summary>How tools are told to the model: as text at the head of the conversation, the same in training and serving.</summary>
public static class ToolPrompt
{
    /// <summary>The conversation with the tools in its first message, which becomes one of the system.</summary>
    public static IReadOnlyList<ChatMessage> Add(IReadOnlyList<ChatMessage> messages, IReadOnlyList<ToolDefinition> tools)
    {
        ArgumentNullException.ThrowIfNull(messages);
        if (tools.Count == 0)
        {
            return messages;
        }
        string text = Describe(tools);
        return messages.Count > 0 && messages[0] is { Role: ChatRole.System } system
            ? [system with { Content = $"{system.Content}\n\n{text}" }, .. messages.Skip(1)]
            : [ChatMessage.System(text), .. messages];
    }

    private static string Describe(IReadOnlyList<ToolDefinition> tools)
    {
        var text = new StringBuilder("Tools:");
        foreach (var tool in tools)
        {
            text.Append("\n- ").Append(tool.Name);
            if (!string.IsNullOrWhiteSpace(tool.Description))
            {
                text.Append(": ").Append(tool.Description);
            }
            text.Append("\n  arguments: ").Append(tool.Parameters);
        }
        return text.ToString();
    }
}
