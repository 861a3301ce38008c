using System.Text;
using System.Text.Json;
using TrainServe.Core.Chat;

namespace TrainServe.Server.Requests;

/// <summary>Reads <c>messages</c> in Anthropic's form: user and assistant, blocks of text, calls of tools and their results.</summary>
internal static class AnthropicMessageReader
{
    public static IReadOnlyList<ChatMessage> ReadAll(ref JsonRequestReader json)
    {
        var messages = new List<ChatMessage>();
        json.EnterArray("an array of objects");
        while (json.NextItem(json.MostMessages))
        {
            messages.AddRange(Read(ref json));
        }
        return messages.Count > 0 ? messages : throw json.Invalid("empty_array", "messages: at least one message is required.");
    }

    /// <summary>A string, or text blocks joined.</summary>
    public static string ReadText(ref JsonRequestReader json)
    {
        if (json.IsString)
        {
            return json.ReadString();
        }
        var text = new StringBuilder();
        json.EnterArray("a string or an array of content blocks");
        while (json.NextItem())
        {
            text.Append(ReadBlock(ref json));
        }
        return text.ToString();
    }

    /// <summary>One message becomes several where it brings results of tools.</summary>
    private static List<ChatMessage> Read(ref JsonRequestReader json)
    {
        Content? content = null;
        ChatRole? role = null;
        string at = json.Path!;
        json.EnterObject();
        while (json.NextProperty(out string key))
        {
            switch (key)
            {
                case "role":
                    role = json.ReadOneOf("user", "assistant") == "user" ? ChatRole.User : ChatRole.Assistant;
                    break;
                case "content":
                    content = ReadContent(ref json);
                    break;
                default:
                    throw json.UnknownParameter();
            }
        }
        if (role is null)
        {
            throw InvalidRequestException.Missing($"{at}.role");
        }
        if (content is null)
        {
            throw InvalidRequestException.Missing($"{at}.content");
        }
        if (role == ChatRole.User ? content.Calls.Count > 0 : content.Results.Count > 0)
        {
            throw new InvalidRequestException($"Invalid '{at}.content': tool_use is the assistant's, tool_result the user's.", $"{at}.content", "invalid_value");
        }
        var messages = content.Results;
        if (content.Text.Length > 0 || messages.Count == 0)
        {
            messages.Add(new ChatMessage(role.Value, content.Text.ToString()) { ToolCalls = content.Calls.Count > 0 ? content.Calls : null });
        }
        return messages;
    }

    private static Content ReadContent(ref JsonRequestReader json)
    {
        var content = new Content();
        if (json.IsString)
        {
            content.Text.Append(json.ReadString());
            return content;
        }
        json.EnterArray("a string or an array of content blocks");
        while (json.NextItem())
        {
            ReadBlock(ref json, content);
        }
        return content;
    }

    private static string ReadBlock(ref JsonRequestReader json)
    {
        var content = new Content();
        string at = json.Path!;
        ReadBlock(ref json, content);
        return content.Calls.Count + content.Results.Count == 0 ? content.Text.ToString() : throw InvalidRequestException.Unsupported(at, "there can be text only here.");
    }

    private static void ReadBlock(ref JsonRequestReader json, Content content)
    {
        string? type = null, text = null, id = null, name = null, result = null;
        JsonElement? input = null;
        string at = json.Path!;
        json.EnterObject();
        while (json.NextProperty(out string key))
        {
            switch (key)
            {
                case "type":
                    type = json.ReadString();
                    if (type is not ("text" or "tool_use" or "tool_result"))
                    {
                        throw InvalidRequestException.Unsupported(json.Path!, $"models here read text only, not '{JsonRequestReader.Shown(type)}'.");
                    }
                    break;
                case "text":
                    text = json.ReadString();
                    break;
                case "id" or "tool_use_id":
                    id = json.ReadString();
                    break;
                case "name":
                    name = json.ReadString();
                    break;
                case "input":
                    input = json.ReadElement();
                    break;
                case "content":
                    result = json.IsNull ? "" : ReadText(ref json);
                    break;
                default:
                    // cache_control and the like; also what belongs to a type that is only refused when it comes.
                    json.Skip();
                    break;
            }
        }
        switch (type)
        {
            case "text":
                content.Text.Append(text ?? throw InvalidRequestException.Missing($"{at}.text"));
                break;
            case "tool_use":
                content.Calls.Add(ChatMessageReader.MakeCall(id ?? throw InvalidRequestException.Missing($"{at}.id"), name ?? throw InvalidRequestException.Missing($"{at}.name"),
                    input is { } given ? JsonRequestReader.Compact(given) : "{}", $"{at}.name"));
                break;
            case "tool_result":
                content.Results.Add(new ChatMessage(ChatRole.Tool, result ?? "") { ToolCallId = id ?? throw InvalidRequestException.Missing($"{at}.tool_use_id") });
                break;
            default:
                throw InvalidRequestException.Missing($"{at}.type");
        }
    }

    private sealed class Content
    {
        public StringBuilder Text { get; } = new();
        public List<ToolCall> Calls { get; } = [];
        public List<ChatMessage> Results { get; } = [];
    }
}
