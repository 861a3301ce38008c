using System.Text.Json;
using TrainServe.Core.Chat;

namespace TrainServe.Core.Data;

/// <summary>Reads preference pairs from <c>.jsonl</c> and <c>.json</c> files, packed or not.</summary>
/// <remarks>
/// A file's format is that of its first record: <c>prompt</c>, <c>chosen</c>, <c>rejected</c> as texts or as lists of messages; <c>conversations</c> with a
/// <c>chosen</c> and a <c>rejected</c> turn; or <c>chosen</c> and <c>rejected</c> alone, as Anthropic's transcripts or as lists of messages.
/// </remarks>
public static class PreferenceReader
{
    private static readonly RecordFormat<PreferencePair>[] Formats =
    [
        new("ShareGPT conversations with chosen and rejected", record => record.Has("conversations") && HasBoth(record), record => ShareGpt(record) with { Margin = Margin(record) }),
        new("prompt, chosen and rejected", record => record.Has("prompt") && HasBoth(record), record => WithPrompt(record) with { Margin = Margin(record) }),
        new("chosen and rejected conversations", HasBoth, record => WithoutPrompt(record) with { Margin = Margin(record) }),
    ];

    /// <inheritdoc cref="ConversationReader.Read"/>
    public static IEnumerable<PreferencePair> Read(string path, BadRecords bad) => RecordFormat.RequireSome(ReadGood(path, bad), path, bad);

    /// <summary>All pairs of some files and of the data files in directories.</summary>
    /// <inheritdoc cref="Read"/>
    public static IReadOnlyList<PreferencePair> ReadAll(IEnumerable<string> paths, BadRecords bad) => [.. DataFiles.Expand(paths).SelectMany(file => Read(file, bad))];

    private static IEnumerable<PreferencePair> ReadGood(string path, BadRecords bad)
    {
        foreach (var (pair, origin) in RecordFormat.Read(path, Formats, bad))
        {
            if (FaultOf(pair) is { } fault)
            {
                bad.Add(origin, fault);
                continue;
            }
            yield return pair with { Origin = origin };
        }
    }

    private static bool HasBoth(JsonElement record) => record.Has("chosen") && record.Has("rejected");

    private static double Margin(JsonElement record)
    {
        if (!record.Has("margin"))
        {
            return 0;
        }
        var margin = record.GetProperty("margin");
        return margin.ValueKind == JsonValueKind.Number && margin.TryGetDouble(out double value) && double.IsFinite(value) ? value : throw new RecordFaultException("the field 'margin' must be a number");
    }

    private static string? FaultOf(PreferencePair pair)
    {
        if (pair.Chosen.Content == pair.Rejected.Content && Calls(pair.Chosen) == Calls(pair.Rejected))
        {
            return "chosen and rejected are the same";
        }
        foreach (var (answer, name) in new[] { (pair.Chosen, "chosen"), (pair.Rejected, "rejected") })
        {
            if (answer.Role != ChatRole.Assistant)
            {
                return $"the {name} answer is not a turn of the assistant";
            }
            if (ConversationRules.FaultForTraining([.. pair.Prompt, answer]) is { } fault)
            {
                return $"the conversation with the {name} answer {fault}";
            }
        }
        return null;

        static string Calls(ChatMessage message) => string.Join('\n', (message.ToolCalls ?? []).Select(call => $"{call.Name} {call.Arguments}"));
    }

    private static PreferencePair ShareGpt(JsonElement record)
    {
        var prompt = RecordFields.ShareGptMessages(record.List("conversations"), "conversations");
        return new PreferencePair(prompt, Answer(prompt, record, "chosen"), Answer(prompt, record, "rejected"), default);
    }

    private static ChatMessage Answer(IReadOnlyList<ChatMessage> prompt, JsonElement record, string name) => record.Has(name) && record.GetProperty(name) is { ValueKind: JsonValueKind.Object } turn
        ? RecordFields.ShareGptMessage(turn)
        : RecordFields.AnswerTo(prompt, record, name);

    private static PreferencePair WithPrompt(JsonElement record)
    {
        var prompt = RecordFields.PromptMessages(record);
        return new PreferencePair(prompt, Answer(prompt, record, "chosen"), Answer(prompt, record, "rejected"), default);
    }

    private static PreferencePair WithoutPrompt(JsonElement record)
    {
        var chosen = Whole(record, "chosen");
        var rejected = Whole(record, "rejected");
        if (chosen.Count == 0 || rejected.Count == 0)
        {
            throw new RecordFaultException("chosen or rejected has no messages");
        }
        if (chosen.Count != rejected.Count || !chosen.SkipLast(1).Select(Key).SequenceEqual(rejected.SkipLast(1).Select(Key)))
        {
            throw new RecordFaultException("chosen and rejected differ before their last turn");
        }
        return new PreferencePair(chosen[..^1], chosen[^1], rejected[^1], default);

        static (ChatRole Role, string Content) Key(ChatMessage message) => (message.Role, message.Content);
    }

    private static List<ChatMessage> Whole(JsonElement record, string name) =>
        record.Has(name) && record.GetProperty(name).ValueKind == JsonValueKind.Array ? RecordFields.OpenAiMessages(record.GetProperty(name), name) : Transcript.Parse(record.Text(name), name);
}
