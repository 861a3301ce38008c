using System.Text.Json;
using TrainServe.Core.Chat;

namespace TrainServe.Core.Data;

/// <summary>Reads conversations to fine-tune on from <c>.jsonl</c>, <c>.json</c> and <c>.txt</c> files, packed or not.</summary>
/// <remarks>
/// A file's format is that of its first record: OpenAssistant's trees, of which the best-ranked branch is read, OpenAI's <c>messages</c>, ShareGPT's <c>conversations</c>, Alpaca's <c>instruction</c>, <c>input</c>, <c>output</c>,
/// <c>prompt</c> and <c>completion</c>, <c>question</c> and <c>answer</c> with an optional <c>section</c> before them, <c>text</c>, or a preference record, whose better
/// answer is learned: <c>prompt</c> and <c>chosen</c>, or <c>chosen</c> alone as one of Anthropic's transcripts. A <c>text</c>, and each document of a
/// <c>.txt</c> file, becomes a conversation in which the user gives the opening and the assistant goes on.
/// </remarks>
public static class ConversationReader
{
    private static readonly RecordFormat<IReadOnlyList<ChatMessage>>[] Formats =
    [
        new("OpenAssistant trees", OpenAssistantTree.IsOne, OpenAssistantTree.BestBranch),
        new("OpenAI messages", record => record.Has("messages"), record => RecordFields.OpenAiMessages(record.List("messages"), "messages")),
        new("ShareGPT conversations", record => record.Has("conversations"), ShareGpt),
        new("Alpaca (instruction, input, output)", record => record.Has("instruction") && record.FirstOf("output", "response") is not null, Alpaca),
        new("prompt and completion", record => record.Has("prompt") && record.FirstOf("completion", "response") is not null,
            record => [ChatMessage.User(record.Text("prompt")), ChatMessage.Assistant(record.Text("completion", "response").Trim())]),
        new("question and answer", record => record.Has("question") && record.Has("answer"), Question),
        new("text to go on with", record => record.Has("text"), record => TextContinuation.Split(record.Text("text"))),
        new("prompt and chosen", record => record.Has("prompt") && record.Has("chosen"), PromptAndChosen),
        new("Anthropic HH transcripts (chosen)", record => record.Has("chosen"), record => Transcript.Parse(record.Text("chosen"), "chosen")),
    ];

    /// <summary>Streams a file's conversations.</summary>
    /// <param name="path">The file.</param>
    /// <param name="bad">Whether to stop at a bad record or count it.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is empty or of no known format, nothing in it can be used, or, when reading is strict, a record is bad: the message names file and line.</exception>
    public static IEnumerable<Conversation> Read(string path, BadRecords bad) => RecordFormat.RequireSome(ReadGood(path, bad), path, bad);

    /// <summary>All conversations of some files and of the data files in directories.</summary>
    /// <inheritdoc cref="Read"/>
    public static IReadOnlyList<Conversation> ReadAll(IEnumerable<string> paths, BadRecords bad) => [.. DataFiles.Expand(paths).SelectMany(file => Read(file, bad))];

    private static IEnumerable<Conversation> ReadGood(string path, BadRecords bad)
    {
        var records = DataFiles.KindOf(path) == ".txt" ? Continuations(path, bad) : RecordFormat.Read(path, Formats, bad);
        foreach (var (messages, origin) in records)
        {
            if (ConversationRules.FaultForTraining(messages) is { } fault)
            {
                bad.Add(origin, $"the conversation {fault}");
                continue;
            }
            yield return new Conversation(messages, origin);
        }
    }

    private static IEnumerable<(IReadOnlyList<ChatMessage> Value, RecordOrigin Origin)> Continuations(string path, BadRecords bad)
    {
        // Damaged text always stops the reading; only texts that cannot be divided are counted.
        foreach (var document in DocumentReader.Read(path, BadRecords.Strict()))
        {
            if (Continuation(document, bad) is { } messages)
            {
                yield return (messages, document.Origin);
            }
        }
    }

    private static IReadOnlyList<ChatMessage>? Continuation(Document document, BadRecords bad)
    {
        try
        {
            return TextContinuation.Split(document.Text);
        }
        catch (RecordFaultException fault)
        {
            bad.Add(document.Origin, fault.Message, fault);
            return null;
        }
    }

    private static List<ChatMessage> ShareGpt(JsonElement record)
    {
        var messages = RecordFields.ShareGptMessages(record.List("conversations"), "conversations");
        return record.OptionalText("system") is { Length: > 0 } system ? [ChatMessage.System(system), .. messages] : messages;
    }

    private static List<ChatMessage> Alpaca(JsonElement record)
    {
        string? input = record.OptionalText("input");
        string instruction = record.Text("instruction");
        List<ChatMessage> messages = [ChatMessage.User(string.IsNullOrEmpty(input) ? instruction : $"{instruction}\n\n{input}"), ChatMessage.Assistant(record.Text("output", "response"))];
        return record.OptionalText("system") is { Length: > 0 } system ? [ChatMessage.System(system), .. messages] : messages;
    }

    private static List<ChatMessage> PromptAndChosen(JsonElement record)
    {
        var prompt = RecordFields.PromptMessages(record);
        return [.. prompt, RecordFields.AnswerTo(prompt, record, "chosen")];
    }

    private static List<ChatMessage> Question(JsonElement record)
    {
        string? section = record.OptionalText("section", "context");
        string question = record.Text("question");
        return [ChatMessage.User(string.IsNullOrEmpty(section) ? question : $"{section}\n\n{question}"), ChatMessage.Assistant(record.Text("answer"))];
    }
}
