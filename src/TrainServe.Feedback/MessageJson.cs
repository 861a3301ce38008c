using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using TrainServe.Core.Chat;

namespace TrainServe.Feedback;

/// <summary>Conversations as OpenAI's <c>messages</c>: in the store, and in the files that the trainer reads.</summary>
internal static class MessageJson
{
    /// <summary>One line; characters that a line or a database cannot hold are escaped.</summary>
    public static readonly JsonWriterOptions Line = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static string Write(IReadOnlyList<ChatMessage> messages) => Text(json => Write(json, messages));

    public static string WriteChoices(IReadOnlyList<StoredChoice> choices) => Text(json =>
    {
        json.WriteStartArray();
        foreach (var choice in choices)
        {
            json.WriteStartObject();
            json.WriteString("finish_reason", choice.FinishReason);
            json.WritePropertyName("message");
            Write(json, choice.Message);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    });

    public static void Write(Utf8JsonWriter json, IReadOnlyList<ChatMessage> messages)
    {
        json.WriteStartArray();
        foreach (var message in messages)
        {
            Write(json, message);
        }
        json.WriteEndArray();
    }

    public static IReadOnlyList<ChatMessage> Read(string text)
    {
        using var document = JsonDocument.Parse(text);
        return [.. document.RootElement.EnumerateArray().Select(ReadMessage)];
    }

    public static IReadOnlyList<StoredChoice> ReadChoices(string text)
    {
        using var document = JsonDocument.Parse(text);
        return [.. document.RootElement.EnumerateArray().Select(choice => new StoredChoice(ReadMessage(choice.GetProperty("message")), choice.GetProperty("finish_reason").GetString()!))];
    }

    /// <summary>What <paramref name="write"/> writes.</summary>
    public static string Text(Action<Utf8JsonWriter> write)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, Line))
        {
            write(json);
        }
        return Encoding.UTF8.GetString(stream.ToArray());
    }

    private static void Write(Utf8JsonWriter json, ChatMessage message)
    {
        json.WriteStartObject();
        json.WriteString("role", message.Role.Name());
        json.WriteString("content", message.Content);
        if (message.Name is { } name)
        {
            json.WriteString("name", name);
        }
        if (message.ToolCallId is { } answered)
        {
            json.WriteString("tool_call_id", answered);
        }
        if (message.ToolCalls is { Count: > 0 } calls)
        {
            json.WriteStartArray("tool_calls");
            foreach (var call in calls)
            {
                json.WriteStartObject();
                json.WriteString("id", call.Id);
                json.WriteString("type", "function");
                json.WriteStartObject("function");
                json.WriteString("name", call.Name);
                json.WriteString("arguments", call.Arguments);
                json.WriteEndObject();
                json.WriteEndObject();
            }
            json.WriteEndArray();
        }
        json.WriteEndObject();
    }

    private static ChatMessage ReadMessage(JsonElement message) =>
        new(ChatRoles.TryParse(message.GetProperty("role").GetString()!)!.Value, message.GetProperty("content").GetString()!)
        {
            Name = Optional(message, "name"),
            ToolCallId = Optional(message, "tool_call_id"),
            ToolCalls = message.TryGetProperty("tool_calls", out var calls) ? [.. calls.EnumerateArray().Select(ReadCall)] : null,
        };

    private static ToolCall ReadCall(JsonElement call)
    {
        var function = call.GetProperty("function");
        return new ToolCall(call.GetProperty("id").GetString()!, function.GetProperty("name").GetString()!, function.GetProperty("arguments").GetString()!);
    }

    private static string? Optional(JsonElement message, string name) => message.TryGetProperty(name, out var value) ? value.GetString() : null;
}
