using System.Text.Json;
using TrainServe.Core.Chat;

namespace TrainServe.Core.Data;

/// <summary>Reads conversations that are to be answered, from <c>.jsonl</c> and <c>.json</c> files, packed or not.</summary>
/// <remarks>
/// A file's format is that of its first record: <c>context</c> and <c>continuation</c>; <c>question</c> and <c>answer</c>; <c>prompt</c> as a text, a transcript or a list of messages,
/// with an optional reference answer; OpenAI's <c>messages</c>, of which the last turn of the assistant is the reference; or a preference record.
/// </remarks>
public static class PromptReader
{
    private static readonly RecordFormat<Prompt>[] Formats =
    [
        new("context and continuation", record => record.Has("context") && record.Has("continuation"), record => OfText(record.Text("context"), record.Text("continuation"))),
        new("question and answer", record => record.Has("question"), record => OfText(record.Text("question"), record.OptionalText("answer"))),
        new("prompt", record => record.Has("prompt"), record => new Prompt(RecordFields.PromptMessages(record), record.OptionalText("answer", "completion", "response"), default)),
        new("OpenAI messages", record => record.Has("messages"), record => Before(RecordFields.OpenAiMessages(record.List("messages"), "messages"))),
        new("Anthropic HH transcripts (chosen)", record => record.Has("chosen"), record => Before(Transcript.Parse(record.Text("chosen"), "chosen")) with { Answer = null }),
    ];

    /// <inheritdoc cref="ConversationReader.Read"/>
    public static IEnumerable<Prompt> Read(string path, BadRecords bad) => RecordFormat.RequireSome(ReadGood(path, bad), path, bad);

    /// <summary>All prompts of some files and of the data files in directories.</summary>
    /// <inheritdoc cref="Read"/>
    public static IReadOnlyList<Prompt> ReadAll(IEnumerable<string> paths, BadRecords bad) => [.. DataFiles.Expand(paths).SelectMany(file => Read(file, bad))];

    private static IEnumerable<Prompt> ReadGood(string path, BadRecords bad)
    {
        foreach (var (prompt, origin) in RecordFormat.Read(path, Formats, bad))
        {
            if (prompt.Messages.Count == 0 || prompt.Messages.All(message => string.IsNullOrWhiteSpace(message.Content)))
            {
                bad.Add(origin, "the prompt is empty");
                continue;
            }
            if (prompt.Messages[^1].Role == ChatRole.Assistant)
            {
                bad.Add(origin, "the prompt ends with a turn of the assistant, so there is nothing to answer");
                continue;
            }
            yield return prompt with { Origin = origin };
        }
    }

    private static Prompt OfText(string text, string? answer) => new([ChatMessage.User(text)], answer, default);

    private static Prompt Before(List<ChatMessage> messages) => messages is [.., { Role: ChatRole.Assistant } last]
        ? new Prompt(messages[..^1], last.Content, default)
        : new Prompt(messages, null, default);
}
