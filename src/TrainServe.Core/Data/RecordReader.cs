using System.Buffers;
using System.Text.Json;
using TrainServe.Core.IO;

namespace TrainServe.Core.Data;

/// <summary>The JSON objects of a file: one a line in <c>.jsonl</c>, one list in <c>.json</c>.</summary>
internal static class RecordReader
{
    /// <exception cref="InvalidDataException">The file is empty or is no list of records; or, when reading is strict, a record is bad.</exception>
    public static IEnumerable<(JsonElement Record, RecordOrigin Origin)> Read(string path, BadRecords bad, int maxLineBytes = LineReader.MaxLineBytes) => DataFiles.KindOf(path) switch
    {
        ".jsonl" => ReadLines(path, bad, maxLineBytes),
        ".json" => ReadList(path, bad),
        _ => throw new InvalidDataException($"{path} has a name that does not say what it holds, and {ContentFormat.LooksLike(path)}. Records are read from .jsonl and .json files, or these and .gz."),
    };

    private static IEnumerable<(JsonElement Record, RecordOrigin Origin)> ReadLines(string path, BadRecords bad, int maxLineBytes)
    {
        using var lines = new LineReader(path, maxLineBytes);
        bool isEmpty = true;
        while (lines.TryRead(out var line, out string? fault))
        {
            var origin = new RecordOrigin(path, lines.Line);
            if (fault is not null)
            {
                isEmpty = false;
                bad.Add(origin, fault);
                continue;
            }
            if (line.Span.Trim(" \t\r\n"u8).IsEmpty)
            {
                continue;
            }
            isEmpty = false;
            if (TryParse(line, origin, bad) is { } record)
            {
                yield return (record, origin);
            }
        }
        if (isEmpty)
        {
            throw new InvalidDataException($"{path} is empty.");
        }
    }

    private static JsonElement? TryParse(ReadOnlyMemory<byte> line, RecordOrigin origin, BadRecords bad)
    {
        try
        {
            using var document = JsonDocument.Parse(line, JsonFile.DocumentOptions);
            if (document.RootElement.ValueKind == JsonValueKind.Object)
            {
                return document.RootElement.Clone();
            }
            bad.Add(origin, $"the line is a JSON {document.RootElement.ValueKind.ToString().ToLowerInvariant()}; it must be an object");
        }
        catch (Exception error) when (JsonFault.IsOne(error))
        {
            bool isCutOff = error is JsonException && !line.Span.EndsWith("\n"u8) && !line.Span.TrimEnd(" \t\r"u8).EndsWith("}"u8);
            bad.Add(origin, isCutOff ? "the file ends in the middle of this line's record" : $"the line is not JSON: {JsonFault.Of(error, line.Span).Reason}", error);
        }
        return null;
    }

    private static IEnumerable<(JsonElement Record, RecordOrigin Origin)> ReadList(string path, BadRecords bad)
    {
        byte[] content = ReadAll(path);
        int position = content.AsSpan().StartsWith("\uFEFF"u8) ? 3 : 0;
        long line = 1;
        var state = new JsonReaderState(new JsonReaderOptions { MaxDepth = 64 });
        bool isStarted = false;
        while (true)
        {
            var item = Next(path, content, ref position, ref line, ref state, ref isStarted, bad);
            if (item.IsEnd)
            {
                yield break;
            }
            if (item.Record is { } record)
            {
                yield return (record, item.Origin);
            }
        }
    }

    // A list's damage has no end that could be found, so that it stops the reading also when that is lenient.
    private static (bool IsEnd, JsonElement? Record, RecordOrigin Origin) Next(
        string path, byte[] content, ref int position, ref long line, ref JsonReaderState state, ref bool isStarted, BadRecords bad)
    {
        var reader = new Utf8JsonReader(content.AsSpan(position), isFinalBlock: true, state);
        var origin = new RecordOrigin(path, line);
        try
        {
            if (!isStarted)
            {
                isStarted = true;
                if (!reader.Read())
                {
                    throw new InvalidDataException($"{path} is empty.");
                }
                if (reader.TokenType != JsonTokenType.StartArray)
                {
                    throw new InvalidDataException($"{path} must hold a JSON list of records.");
                }
            }
            reader.Read();
            int start = position + (int)reader.TokenStartIndex;
            line += content.AsSpan(position, start - position).Count((byte)'\n');
            origin = new RecordOrigin(path, line);
            if (reader.TokenType == JsonTokenType.EndArray)
            {
                return (true, null, origin);
            }
            bool isObject = reader.TokenType == JsonTokenType.StartObject;
            reader.Skip();
            int end = position + (int)reader.BytesConsumed;
            var text = content.AsMemory(start, end - start);
            (position, state) = (end, reader.CurrentState);
            line += text.Span.Count((byte)'\n');
            if (!isObject)
            {
                bad.Add(origin, "the list's item is not an object");
                return (false, null, origin);
            }
            if (!System.Text.Unicode.Utf8.IsValid(text.Span))
            {
                bad.Add(origin, "the record is not valid UTF-8");
                return (false, null, origin);
            }
            return (false, TryParse(text, origin, bad), origin);
        }
        catch (JsonException error)
        {
            string place = error.LineNumber is { } index ? $":{index + 1}" : "";
            throw new InvalidDataException($"{path}{place}: the list of records is not JSON, or is cut off: {JsonFault.Of(error, content).Reason}.", error);
        }
    }

    private static byte[] ReadAll(string path)
    {
        using var stream = DataFiles.Open(path);
        using var content = new MemoryStream();
        try
        {
            stream.CopyTo(content);
        }
        catch (InvalidDataException error)
        {
            throw new InvalidDataException($"{path}: the packed data is damaged or cut off.", error);
        }
        return content.Length > 0 ? content.ToArray() : throw new InvalidDataException($"{path} is empty.");
    }
}
