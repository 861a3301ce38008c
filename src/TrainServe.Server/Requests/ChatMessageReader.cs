using System.Text;
using TrainServe.Core.Chat;

namespace TrainServe.Server.Requests;

/// <summary>Reads <c>messages</c>: roles and text, nothing that the chat template could not render.</summary>
internal static class ChatMessageReader
{
    private const int MostCalls = 128;

    public static IReadOnlyList<ChatMessage> ReadAll(ref JsonRequestReader json)
    {
        var messages = new List<ChatMessage>();
        json.EnterArray("an array of objects");
        while (json.NextItem(json.MostMessages))
        {
            messages.Add(Read(ref json));
        }
        return messages.Count > 0 ? messages : throw json.Invalid("empty_array",
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.");
    }

    private static ChatMessage Read(ref JsonRequestReader json)
    {
        string? content = null, name = null, callId = null;
        IReadOnlyList<ToolCall>? calls = null;
        ChatRole? role = null;
        string at = json.Path!;
        json.EnterObject();
        while (json.NextProperty(out string key))
        {
            switch (key)
            {
                case "role":
                    role = ReadRole(ref json);
                    break;
                case "content":
                    content = json.IsNull ? null : ReadContent(ref json);
                    break;
                case "name":
                    name = json.IsNull ? null : json.ReadString();
                    break;
                case "tool_calls":
                    calls = json.IsNull ? null : ReadCalls(ref json);
                    break;
                case "tool_call_id":
                    callId = json.ReadString();
                    break;
                case "refusal" or "annotations" or "audio" or "function_call":
                    SkipIfEmpty(ref json);
                    break;
                default:
                    throw json.UnknownParameter();
            }
        }
        if (role is null)
        {
            throw InvalidRequestException.Missing($"{at}.role");
        }
        if (calls is { Count: > 0 } && role != ChatRole.Assistant)
        {
            throw new InvalidRequestException($"Invalid '{at}.tool_calls': only the assistant calls tools.", $"{at}.tool_calls", "invalid_value");
        }
        if (role == ChatRole.Tool && callId is null)
        {
            throw InvalidRequestException.Missing($"{at}.tool_call_id");
        }
        return new ChatMessage(role.Value, content ?? (calls is { Count: > 0 } ? "" : throw InvalidRequestException.Missing($"{at}.content")))
        {
            Name = name, ToolCalls = calls, ToolCallId = callId,
        };
    }

    private static ChatRole ReadRole(ref JsonRequestReader json) => json.ReadString() switch
    {
        "developer" or "system" => ChatRole.System,
        "user" => ChatRole.User,
        "assistant" => ChatRole.Assistant,
        "tool" => ChatRole.Tool,
        "function" => throw InvalidRequestException.Unsupported(json.Path!, "it is superseded; use the role tool."),
        var other => throw json.InvalidValue(other, "developer", "system", "user", "assistant", "tool"),
    };

    private static List<ToolCall> ReadCalls(ref JsonRequestReader json)
    {
        var calls = new List<ToolCall>();
        json.EnterArray("an array of objects");
        while (json.NextItem(MostCalls))
        {
            calls.Add(ReadCall(ref json));
        }
        return calls;
    }

    private static ToolCall ReadCall(ref JsonRequestReader json)
    {
        string? id = null, name = null, arguments = null;
        string at = json.Path!;
        json.EnterObject();
        while (json.NextProperty(out string key))
        {
            switch (key)
            {
                case "id":
                    id = json.ReadString();
                    break;
                case "type":
                    json.ReadOneOf("function");
                    break;
                case "index":
                    json.ReadInt32(0, int.MaxValue);
                    break;
                case "function":
                    json.EnterObject();
                    while (json.NextProperty(out string inner))
                    {
                        switch (inner)
                        {
                            case "name":
                                name = json.ReadString();
                                break;
                            case "arguments":
                                arguments = json.ReadString();
                                break;
                            default:
                                throw json.UnknownParameter();
                        }
                    }
                    break;
                default:
                    throw json.UnknownParameter();
            }
        }
        return MakeCall(id ?? throw InvalidRequestException.Missing($"{at}.id"), name ?? throw InvalidRequestException.Missing($"{at}.function.name"),
            arguments ?? throw InvalidRequestException.Missing($"{at}.function.arguments"), $"{at}.function.name");
    }

    /// <summary>A call that the model made, as it comes back to it.</summary>
    public static ToolCall MakeCall(string id, string name, string arguments, string path) => ToolReader.IsName(name)
        ? new ToolCall(id, name, arguments.Length == 0 ? "{}" : arguments)
        : throw new InvalidRequestException($"Invalid '{path}': a name has 1 to 64 letters, digits, '_', '-' and '.'.", path, "invalid_value");

    private static string ReadContent(ref JsonRequestReader json)
    {
        if (json.IsString)
        {
            return json.ReadString();
        }
        var text = new StringBuilder();
        int parts = 0;
        json.EnterArray("a string or an array of content parts");
        while (json.NextItem())
        {
            text.Append(ReadPart(ref json));
            parts++;
        }
        return parts > 0 ? text.ToString() : throw json.Invalid("empty_array",
            $"Invalid '{json.Path}': empty array. Expected an array with minimum length 1, but got an empty array instead.");
    }

    private static string ReadPart(ref JsonRequestReader json)
    {
        string? type = null, text = null;
        string at = json.Path!;
        json.EnterObject();
        while (json.NextProperty(out string key))
        {
            switch (key)
            {
                case "type":
                    type = json.ReadString();
                    if (type is "image_url" or "input_audio" or "file" or "refusal")
                    {
                        throw InvalidRequestException.Unsupported(json.Path!, $"models here read text only, not '{type}'.");
                    }
                    if (type != "text")
                    {
                        throw json.InvalidValue(type, "text");
                    }
                    break;
                case "text":
                    text = json.ReadString();
                    break;
                case "prompt_cache_breakpoint":
                    json.Skip();
                    break;
                case "image_url" or "input_audio" or "file" or "refusal":
                    throw InvalidRequestException.Unsupported(json.Path!, "models here read text only.");
                default:
                    throw json.UnknownParameter();
            }
        }
        if (type is null)
        {
            throw InvalidRequestException.Missing($"{at}.type");
        }
        return text ?? throw InvalidRequestException.Missing($"{at}.text");
    }

    // Answers are sent back as they came, with the fields that they do not use.
    private static void SkipIfEmpty(ref JsonRequestReader json)
    {
        if (!json.IsNull && json.ReadCompact() != "[]")
        {
            throw InvalidRequestException.Unsupported(json.Path!, "models here write text only.");
        }
    }
}
