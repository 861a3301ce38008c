using System.Text.Json;

namespace TrainServe.Core.Data;

/// <summary>A JSON Schema, and texts that fit it.</summary>
/// <param name="Schema">The schema.</param>
/// <param name="Texts">JSON without white space between its parts; there may be none.</param>
/// <param name="Origin">Where it stands.</param>
public sealed record SchemaRecord(JsonElement Schema, IReadOnlyList<string> Texts, RecordOrigin Origin);

/// <summary>Reads schemas: records with a <c>schema</c> and, if there are any, <c>tests</c> with <c>data</c> that is <c>valid</c> or not (JSONSchemaBench), or records that are schemas themselves.</summary>
public static class SchemaReader
{
    private static readonly JsonSerializerOptions Plain = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static readonly RecordFormat<SchemaRecord>[] Formats =
    [
        new("schema and tests", record => record.Has("schema"), record => new(record.GetProperty("schema"), [.. ValidTexts(record)], default)),
        new("a JSON Schema", record => record.Has("type") || record.Has("properties") || record.Has("$schema"), record => new(record, [], default)),
    ];

    /// <inheritdoc cref="ConversationReader.Read"/>
    public static IEnumerable<SchemaRecord> Read(string path, BadRecords bad) =>
        RecordFormat.RequireSome(RecordFormat.Read(path, Formats, bad).Select(item => item.Value with { Origin = item.Origin }), path, bad, "schema");

    private static IEnumerable<string> ValidTexts(JsonElement record)
    {
        if (!record.Has("tests"))
        {
            yield break;
        }
        foreach (var test in record.List("tests").EnumerateArray())
        {
            if (test.ValueKind == JsonValueKind.Object && test.TryGetProperty("valid", out var valid) && valid.ValueKind == JsonValueKind.True && test.TryGetProperty("data", out var data))
            {
                yield return JsonSerializer.Serialize(data, Plain);
            }
        }
    }
}
