using System.Text.Json;
using TrainServe.Core.Chat;
using TrainServe.Core.IO;

namespace TrainServe.Core.Data;

/// <summary>A record lacks what its format needs; the message is the end of a sentence. Never leaves this folder.</summary>
internal sealed class RecordFaultException(string message) : Exception(message);

/// <summary>Reads the fields that the formats share.</summary>
internal static class RecordFields
{
    public static bool Has(this JsonElement record, string name) => record.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null;

    /// <summary>The first of some fields that the record has.</summary>
    public static string? FirstOf(this JsonElement record, params ReadOnlySpan<string> names)
    {
        foreach (string name in names)
        {
            if (record.Has(name))
            {
                return name;
            }
        }
        return null;
    }

    public static string Text(this JsonElement record, params ReadOnlySpan<string> names)
    {
        string? name = record.FirstOf(names);
        if (name is null)
        {
            throw new RecordFaultException($"the field '{names[0]}' is missing");
        }
        return TextOf(record.GetProperty(name), $"the field '{name}'");
    }

    public static string? OptionalText(this JsonElement record, params ReadOnlySpan<string> names) => record.FirstOf(names) is null ? null : record.Text(names);

    public static JsonElement List(this JsonElement record, string name)
    {
        if (!record.Has(name))
        {
            throw new RecordFaultException($"the field '{name}' is missing");
        }
        var list = record.GetProperty(name);
        return list.ValueKind == JsonValueKind.Array ? list : throw new RecordFaultException($"the field '{name}' must be a list");
    }

    public static string TextOf(JsonElement value, string what)
    {
        if (value.ValueKind != JsonValueKind.String)
        {
            throw new RecordFaultException($"{what} must be text");
        }
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException)
        {
            throw new RecordFaultException($"{what} has half of a surrogate pair as an escape");
        }
    }

    /// <summary>OpenAI's messages: <c>role</c> and <c>content</c>, the content as text or as parts of type text, and <c>tool_calls</c>.</summary>
    public static List<ChatMessage> OpenAiMessages(JsonElement list, string field)
    {
        var messages = new List<ChatMessage>();
        foreach (var item in Objects(list, field))
        {
            var message = new ChatMessage(Role(item.Text("role")), Content(item));
            messages.Add(message with
            {
                ToolCalls = item.Has("tool_calls") ? [.. Objects(item.List("tool_calls"), "tool_calls").Select(OpenAiCall)] : null,
                ToolCallId = item.OptionalText("tool_call_id"),
                Name = item.OptionalText("name"),
            });
        }
        return messages;
    }

    /// <summary>ShareGPT's turns: <c>from</c> and <c>value</c>; a turn from <c>function_call</c> is the assistant calling a tool.</summary>
    public static List<ChatMessage> ShareGptMessages(JsonElement list, string field) => [.. Objects(list, field).Select(ShareGptMessage)];

    public static ChatMessage ShareGptMessage(JsonElement item)
    {
        string from = item.Text("from", "role"), value = item.Text("value", "content");
        return from == "function_call" ? new ChatMessage(ChatRole.Assistant, "") { ToolCalls = [WrittenCall(value)] } : new ChatMessage(Role(from), value);
    }

    /// <summary>The field <c>prompt</c>: a text, a transcript, or a list of messages.</summary>
    public static IReadOnlyList<ChatMessage> PromptMessages(JsonElement record)
    {
        var value = record.Has("prompt") ? record.GetProperty("prompt") : throw new RecordFaultException("the field 'prompt' is missing");
        return value.ValueKind == JsonValueKind.Array ? OpenAiMessages(value, "prompt")
            : record.Text("prompt") is var text && Transcript.IsOne(text) ? Transcript.Parse(text, "prompt")
            : [ChatMessage.User(text)];
    }

    /// <summary>An answer to a prompt: a text, or a list of messages of which the last one is the answer and those before it, if there are any, are the prompt again.</summary>
    public static ChatMessage AnswerTo(IReadOnlyList<ChatMessage> prompt, JsonElement record, string name)
    {
        if (!record.Has(name) || record.GetProperty(name).ValueKind != JsonValueKind.Array)
        {
            return ChatMessage.Assistant(record.Text(name).Trim());
        }
        if (OpenAiMessages(record.GetProperty(name), name) is not [.. var before, var answer])
        {
            throw new RecordFaultException($"the field '{name}' is an empty list");
        }
        // An answer to other turns than the prompt's would be learned as one to the prompt.
        return before.Count == 0 || before.Select(Turn).SequenceEqual(prompt.Select(Turn)) ? answer
            : throw new RecordFaultException($"the field '{name}' has turns before its answer that are not the prompt");

        static (ChatRole Role, string Content) Turn(ChatMessage message) => (message.Role, message.Content.Trim());
    }

    private static IEnumerable<JsonElement> Objects(JsonElement list, string field)
    {
        foreach (var item in list.EnumerateArray())
        {
            yield return item.ValueKind == JsonValueKind.Object ? item : throw new RecordFaultException($"the field '{field}' must be a list of objects");
        }
    }

    private static ChatRole Role(string name) => ChatRoles.TryParse(name) ?? throw new RecordFaultException($"the role '{name}' is not known");

    private static string Content(JsonElement message)
    {
        if (!message.Has("content"))
        {
            return message.Has("tool_calls") ? "" : throw new RecordFaultException("a message has no 'content'");
        }
        var content = message.GetProperty("content");
        if (content.ValueKind != JsonValueKind.Array)
        {
            return TextOf(content, "a message's 'content'");
        }
        return string.Concat(Objects(content, "content").Select(part => part.Text("type") == "text"
            ? part.Text("text")
            : throw new RecordFaultException($"a message's 'content' has a part of type '{part.Text("type")}'; only text is implemented")));
    }

    private static ToolCall OpenAiCall(JsonElement call)
    {
        var function = call.Has("function") && call.GetProperty("function").ValueKind == JsonValueKind.Object ? call.GetProperty("function")
            : throw new RecordFaultException("a tool call has no 'function'");
        return new ToolCall(call.OptionalText("id") ?? "", function.Text("name"), Arguments(function));
    }

    private static ToolCall WrittenCall(string json)
    {
        try
        {
            using var document = JsonDocument.Parse(json, JsonFile.DocumentOptions);
            var call = document.RootElement;
            return call.ValueKind == JsonValueKind.Object ? new ToolCall("", call.Text("name"), Arguments(call)) : throw new RecordFaultException("a function call is not a JSON object");
        }
        catch (Exception error) when (JsonFault.IsOne(error))
        {
            throw new RecordFaultException("a function call is not JSON");
        }
    }

    // As text, or as the object itself.
    private static string Arguments(JsonElement call)
    {
        if (!call.Has("arguments"))
        {
            return "{}";
        }
        var arguments = call.GetProperty("arguments");
        return arguments.ValueKind == JsonValueKind.String ? TextOf(arguments, "a call's 'arguments'") : arguments.GetRawText();
    }
}
