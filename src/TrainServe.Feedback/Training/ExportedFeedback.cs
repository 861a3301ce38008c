using System.Text.Json;
using TrainServe.Core.Chat;
using TrainServe.Core.IO;

namespace TrainServe.Feedback.Training;

/// <summary>Why an answer is better than another, or worth imitating; the strongest first.</summary>
public enum ExportReason
{
    /// <summary>Somebody wrote it as it should have been.</summary>
    Edit,

    /// <summary>Somebody chose it over the other.</summary>
    Preference,

    /// <summary>It has the higher score.</summary>
    Score,

    /// <summary>It was liked, and the other disliked.</summary>
    Rating,
}

/// <summary>A pair for <c>reward</c> and <c>dpo</c>.</summary>
/// <param name="Margin">The difference of their scores; null without.</param>
public sealed record ExportedPreference(IReadOnlyList<ChatMessage> Prompt, ChatMessage Chosen, ChatMessage Rejected, ExportReason Reason, double? Margin);

/// <summary>A conversation for <c>sft</c>.</summary>
public sealed record ExportedConversation(IReadOnlyList<ChatMessage> Messages, ExportReason Reason);

/// <summary>What came of a store's feedback.</summary>
public sealed record ExportReport
{
    /// <summary>Answers of which something was said.</summary>
    public int Answers { get; init; }

    /// <summary>What was said of them.</summary>
    public int Entries { get; init; }

    /// <summary>Pairs by reason.</summary>
    public required IReadOnlyDictionary<string, int> Preferences { get; init; }

    /// <summary>Conversations by reason.</summary>
    public required IReadOnlyDictionary<string, int> Conversations { get; init; }

    /// <summary>What was left out, by reason.</summary>
    public required IReadOnlyDictionary<string, int> LeftOut { get; init; }

    public string ToText() => string.Concat(((string[])
    [
        $"{Entries} pieces of feedback on {Answers} answers",
        $"preference pairs: {Show(Preferences)}",
        $"conversations: {Show(Conversations)}",
        .. LeftOut.Select(pair => $"left out, {pair.Value}: {pair.Key}"),
    ]).Select(line => line + "\n"));

    private static string Show(IReadOnlyDictionary<string, int> counts) =>
        counts.Count == 0 ? "none" : $"{counts.Values.Sum()} ({string.Join(", ", counts.Select(pair => $"{pair.Value} by {pair.Key}"))})";
}

/// <summary>Training data that was made of feedback.</summary>
public sealed record ExportedFeedback(IReadOnlyList<ExportedPreference> Preferences, IReadOnlyList<ExportedConversation> Conversations, ExportReport Report)
{
    public const string PreferencesFile = "preferences.jsonl", ConversationsFile = "conversations.jsonl", ReportFile = "report.json";

    /// <summary>Writes the files that the trainer reads, and the report. A file without a line is not written, since no reader would take it.</summary>
    /// <returns>The paths of what was written.</returns>
    public IReadOnlyList<string> Write(string directory)
    {
        Directory.CreateDirectory(directory);
        string report = Path.Combine(directory, ReportFile);
        JsonFile.Write(report, Report, JsonFile.SnakeCase);
        return
        [
            .. Write(Path.Combine(directory, PreferencesFile), Preferences, (json, pair) =>
            {
                json.WritePropertyName("prompt");
                MessageJson.Write(json, pair.Prompt);
                json.WritePropertyName("chosen");
                MessageJson.Write(json, [pair.Chosen]);
                json.WritePropertyName("rejected");
                MessageJson.Write(json, [pair.Rejected]);
                json.WriteString("reason", NameOf(pair.Reason));
                if (pair.Margin is { } margin)
                {
                    json.WriteNumber("margin", margin);
                }
            }),
            .. Write(Path.Combine(directory, ConversationsFile), Conversations, (json, conversation) =>
            {
                json.WritePropertyName("messages");
                MessageJson.Write(json, conversation.Messages);
                json.WriteString("reason", NameOf(conversation.Reason));
            }),
            report,
        ];
    }

    private static IReadOnlyList<string> Write<T>(string path, IReadOnlyList<T> items, Action<Utf8JsonWriter, T> write)
    {
        if (items.Count == 0)
        {
            File.Delete(path); // of an earlier export
            return [];
        }
        DurableFile.Write(path, stream =>
        {
            foreach (var item in items)
            {
                using (var json = new Utf8JsonWriter(stream, MessageJson.Line))
                {
                    json.WriteStartObject();
                    write(json, item);
                    json.WriteEndObject();
                }
                stream.WriteByte((byte)'\n');
            }
        });
        return [path];
    }

    private static string NameOf(ExportReason reason) => reason.ToString().ToLowerInvariant();
}
