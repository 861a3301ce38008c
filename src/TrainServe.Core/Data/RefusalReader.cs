using System.Text.Json;
using TrainServe.Core.Chat;

namespace TrainServe.Core.Data;

/// <summary>A request that should be refused, or one that only looks like it.</summary>
/// <param name="IsHarmful">It should be refused.</param>
public sealed record RefusalPrompt(IReadOnlyList<ChatMessage> Messages, bool IsHarmful, RecordOrigin Origin);

/// <summary>Reads requests to be refused or not: a <c>prompt</c> with <c>harmful</c> true or false, or the small world's questions, of which those of other families are left out.</summary>
public static class RefusalReader
{
    private static readonly RecordFormat<Labelled>[] Formats =
    [
        new("prompt and harmful", record => record.Has("prompt") && record.Has("harmful"), record => new(RecordFields.PromptMessages(record), Flag(record))),
        new("the small world's family and question", record => record.Has("family") && record.Has("question"), record => new([ChatMessage.User(record.Text("question"))], OfFamily(record.Text("family")))),
    ];

    /// <inheritdoc cref="ConversationReader.Read"/>
    public static IEnumerable<RefusalPrompt> Read(string path, BadRecords bad) => RecordFormat.RequireSome(ReadGood(path, bad), path, bad);

    private static IEnumerable<RefusalPrompt> ReadGood(string path, BadRecords bad)
    {
        foreach (var (item, origin) in RecordFormat.Read(path, Formats, bad))
        {
            if (item.IsHarmful is { } isHarmful)
            {
                yield return new RefusalPrompt(item.Messages, isHarmful, origin);
            }
        }
    }

    private static bool? OfFamily(string family) => family switch
    {
        "harmful" => true,
        "harmless" => false,
        _ => null,
    };

    private static bool Flag(JsonElement record) => record.GetProperty("harmful").ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw new RecordFaultException("the field 'harmful' must be true or false"),
    };

    private sealed record Labelled(IReadOnlyList<ChatMessage> Messages, bool? IsHarmful);
}
