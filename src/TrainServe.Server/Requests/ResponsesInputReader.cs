using System.Text;
using TrainServe.Core.Chat;

namespace TrainServe.Server.Requests;

/// <summary>Reads <c>input</c> of the Responses API: a text, or messages, calls of functions and their results.</summary>
internal static class ResponsesInputReader
{
    public static IReadOnlyList<ChatMessage> Read(ref JsonRequestReader json)
    {
        if (json.IsString)
        {
            return [ChatMessage.User(json.ReadString())];
        }
        var messages = new List<ChatMessage>();
        json.EnterArray("a string or an array of items");
        while (json.NextItem(json.MostMessages))
        {
            Add(messages, ReadItem(ref json));
        }
        return messages.Count > 0 ? messages : throw json.Invalid("empty_array",
            $"Invalid '{json.Path}': empty array. Expected an array with minimum length 1, but got an empty array instead.");
    }

    // Text and calls of one answer are items of their own here, and one message to the model.
    private static void Add(List<ChatMessage> messages, ChatMessage message)
    {
        if (message is { Role: ChatRole.Assistant, ToolCalls: { } calls } && messages.Count > 0 && messages[^1] is { Role: ChatRole.Assistant } last)
        {
            messages[^1] = last with { ToolCalls = [.. last.ToolCalls ?? [], .. calls] };
            return;
        }
        messages.Add(message);
    }

    private static ChatMessage ReadItem(ref JsonRequestReader json)
    {
        string? type = null, role = null, content = null, callId = null, name = null, arguments = null, output = null;
        string at = json.Path!;
        json.EnterObject();
        while (json.NextProperty(out string key))
        {
            switch (key)
            {
                case "type":
                    type = json.ReadString();
                    if (type is not ("message" or "function_call" or "function_call_output" or "reasoning"))
                    {
                        throw InvalidRequestException.Unsupported(json.Path!, $"there are messages, calls of functions and their results, not '{JsonRequestReader.Shown(type)}'.");
                    }
                    break;
                case "role":
                    role = json.ReadOneOf("user", "assistant", "system", "developer");
                    break;
                case "content":
                    content = json.IsNull ? null : ReadContent(ref json);
                    break;
                case "call_id":
                    callId = json.ReadString();
                    break;
                case "name":
                    name = json.ReadString();
                    break;
                case "arguments":
                    arguments = json.ReadString();
                    break;
                case "output":
                    output = ReadContent(ref json);
                    break;
                default:
                    // id, status, phase, summary and the like: answers come back as they were.
                    json.Skip();
                    break;
            }
        }
        return type switch
        {
            "function_call" => ChatMessage.Assistant("") with
            {
                ToolCalls = [ChatMessageReader.MakeCall(callId ?? throw InvalidRequestException.Missing($"{at}.call_id"), name ?? throw InvalidRequestException.Missing($"{at}.name"),
                    arguments ?? throw InvalidRequestException.Missing($"{at}.arguments"), $"{at}.name")],
            },
            "function_call_output" => new ChatMessage(ChatRole.Tool, output ?? throw InvalidRequestException.Missing($"{at}.output"))
            {
                ToolCallId = callId ?? throw InvalidRequestException.Missing($"{at}.call_id"),
            },
            "reasoning" => throw InvalidRequestException.Unsupported(at, "models here do not reason apart from their answer."),
            _ => new ChatMessage(role switch
            {
                "user" => ChatRole.User,
                "assistant" => ChatRole.Assistant,
                null => throw InvalidRequestException.Missing($"{at}.role"),
                _ => ChatRole.System,
            }, content ?? throw InvalidRequestException.Missing($"{at}.content")),
        };
    }

    private static string ReadContent(ref JsonRequestReader json)
    {
        if (json.IsString)
        {
            return json.ReadString();
        }
        var text = new StringBuilder();
        json.EnterArray("a string or an array of content parts");
        while (json.NextItem())
        {
            string? part = null;
            string at = json.Path!;
            json.EnterObject();
            while (json.NextProperty(out string key))
            {
                switch (key)
                {
                    case "type":
                        if (json.ReadString() is not ("input_text" or "output_text" or "text") and var type)
                        {
                            throw InvalidRequestException.Unsupported(json.Path!, $"models here read text only, not '{JsonRequestReader.Shown(type)}'.");
                        }
                        break;
                    case "text":
                        part = json.ReadString();
                        break;
                    default:
                        json.Skip();
                        break;
                }
            }
            text.Append(part ?? throw InvalidRequestException.Missing($"{at}.text"));
        }
        return text.ToString();
    }
}
