using System.Text;
using TrainServe.Core.Chat;

namespace TrainServe.Server.Requests;

/// <summary>Reads <c>messages</c> in Anthropic's form: user and assistant, text blocks.</summary>
internal static class AnthropicMessageReader
{
    public static IReadOnlyList<ChatMessage> ReadAll(ref JsonRequestReader json)
    {
        var messages = new List<ChatMessage>();
        json.EnterArray("an array of objects");
        while (json.NextItem(json.MostMessages))
        {
            messages.Add(Read(ref json));
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

    private static ChatMessage Read(ref JsonRequestReader json)
    {
        string? content = null;
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
                    content = ReadText(ref json);
                    break;
                default:
                    throw json.UnknownParameter();
            }
        }
        return new ChatMessage(role ?? throw InvalidRequestException.Missing($"{at}.role"), content ?? throw InvalidRequestException.Missing($"{at}.content"));
    }

    private static string ReadBlock(ref JsonRequestReader json)
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
                    if (type != "text")
                    {
                        throw InvalidRequestException.Unsupported(json.Path!, $"models here read text only, not '{JsonRequestReader.Shown(type)}'.");
                    }
                    break;
                case "text":
                    text = json.ReadString();
                    break;
                case "cache_control" or "citations":
                    json.Skip();
                    break;
                default:
                    // The type, which says what is wrong, may come after it.
                    json.Skip();
                    break;
            }
        }
        if (type is null)
        {
            throw InvalidRequestException.Missing($"{at}.type");
        }
        return text ?? throw InvalidRequestException.Missing($"{at}.text");
    }
}
