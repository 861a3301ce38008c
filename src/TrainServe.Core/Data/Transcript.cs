using TrainServe.Core.Chat;

namespace TrainServe.Core.Data;

/// <summary>Anthropic's way of writing a conversation: <c>\n\nHuman: ...\n\nAssistant: ...</c>.</summary>
internal static class Transcript
{
    private const string Human = "\n\nHuman:", Assistant = "\n\nAssistant:";

    public static bool IsOne(string text) => text.StartsWith(Human, StringComparison.Ordinal);

    /// <summary>The turns, trimmed. A last turn of the assistant without text is left out: it only asks for an answer.</summary>
    public static List<ChatMessage> Parse(string text, string field)
    {
        if (!IsOne(text))
        {
            throw new RecordFaultException($"the field '{field}' does not begin with a blank line and 'Human:'");
        }
        var messages = new List<ChatMessage>();
        while (text.Length > 0)
        {
            bool isHuman = text.StartsWith(Human, StringComparison.Ordinal);
            int start = isHuman ? Human.Length : Assistant.Length;
            int end = NextTurn(text, start);
            messages.Add(new ChatMessage(isHuman ? ChatRole.User : ChatRole.Assistant, text[start..end].Trim()));
            text = text[end..];
        }
        if (messages[^1] is { Role: ChatRole.Assistant, Content: "" })
        {
            messages.RemoveAt(messages.Count - 1);
        }
        return messages;
    }

    private static int NextTurn(string text, int start)
    {
        int human = text.IndexOf(Human, start, StringComparison.Ordinal), assistant = text.IndexOf(Assistant, start, StringComparison.Ordinal);
        return Math.Min(human < 0 ? text.Length : human, assistant < 0 ? text.Length : assistant);
    }
}
