using System.Text;
using TrainServe.Core.Chat;

namespace TrainServe.Server.Requests;

/// <summary>Reads <c>messages</c>: roles and text, nothing that the chat template could not render.</summary>
internal static class ChatMessageReader
{
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
        string? content = null, name = null;
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
                    content = ReadContent(ref json);
                    break;
                case "name":
                    name = json.IsNull ? null : json.ReadString();
                    break;
                case "refusal" or "annotations" or "audio" or "function_call" or "tool_calls":
                    SkipIfEmpty(ref json);
                    break;
                default:
                    throw json.UnknownParameter();
            }
        }
        return new ChatMessage(
            role ?? throw InvalidRequestException.Missing($"{at}.role"),
            content ?? throw InvalidRequestException.Missing($"{at}.content")) { Name = name };
    }

    private static ChatRole ReadRole(ref JsonRequestReader json) => json.ReadString() switch
    {
        "developer" or "system" => ChatRole.System,
        "user" => ChatRole.User,
        "assistant" => ChatRole.Assistant,
        "tool" or "function" => throw InvalidRequestException.Unsupported(json.Path!, "models here call no tools, so no tool can have answered."),
        var other => throw json.InvalidValue(other, "developer", "system", "user", "assistant"),
    };

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
