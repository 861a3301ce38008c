using System.Text.Json;
using TrainServe.Core.IO;

namespace TrainServe.Core.Packaging;

/// <summary>One tensor of a file.</summary>
/// <param name="Offset">From the start of the file, in bytes.</param>
public sealed record SafeTensorEntry(string Name, SafeTensorType Type, IReadOnlyList<long> Shape, long Offset, long SizeBytes)
{
    public long Count => SizeBytes / Type.SizeBytes();
}

/// <summary>Reads and checks a safetensors header. Everything in it comes from outside and may be an attack.</summary>
internal static class SafeTensorsHeader
{
    /// <summary>The format's own limit.</summary>
    public const long MaxLength = 100_000_000;

    /// <summary>Checks: UTF-8 JSON, no key twice, known types, spans that equal shape times type, and that lie from 0 to the end without hole or overlap.</summary>
    /// <exception cref="InvalidDataException">A check failed; the message names file, tensor and rule.</exception>
    public static (IReadOnlyList<SafeTensorEntry> Entries, IReadOnlyDictionary<string, string> Metadata) Parse(ReadOnlySpan<byte> json, string path, long dataStart, long fileLength)
    {
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(json.ToArray(), JsonFile.DocumentOptions);
        }
        catch (Exception error) when (JsonFault.IsOne(error))
        {
            throw NotJson(path, JsonFault.Of(error, json), error);
        }
        using (document)
        {
            if (JsonFault.BadString(json) is { } fault)
            {
                throw NotJson(path, fault, null);
            }
            if (document.RootElement.ValueKind != JsonValueKind.Object)
            {
                throw new InvalidDataException($"{path}: the safetensors header is not a JSON object.");
            }
            var entries = new List<SafeTensorEntry>();
            var metadata = new Dictionary<string, string>(StringComparer.Ordinal);
            foreach (var property in document.RootElement.EnumerateObject())
            {
                if (property.NameEquals("__metadata__"))
                {
                    ReadMetadata(property.Value, metadata, path);
                }
                else
                {
                    entries.Add(ReadEntry(property, path, dataStart));
                }
            }
            CheckCoverage(entries, path, dataStart, fileLength);
            return (entries, metadata);
        }
    }

    private static InvalidDataException NotJson(string path, JsonFault fault, Exception? inner) => new($"{path}: the safetensors header is not valid JSON: {fault.Reason}.", inner);

    private static void ReadMetadata(JsonElement element, Dictionary<string, string> metadata, string path)
    {
        if (element.ValueKind != JsonValueKind.Object)
        {
            throw new InvalidDataException($"{path}: __metadata__ is not an object.");
        }
        foreach (var item in element.EnumerateObject())
        {
            metadata[item.Name] = item.Value.ValueKind == JsonValueKind.String
                ? item.Value.GetString()!
                : throw new InvalidDataException($"{path}: __metadata__.{item.Name} is not a string.");
        }
    }

    private static SafeTensorEntry ReadEntry(JsonProperty property, string path, long dataStart)
    {
        string name = property.Name;
        var value = property.Value;
        if (value.ValueKind != JsonValueKind.Object || !value.TryGetProperty("dtype", out var typeWord) || typeWord.ValueKind != JsonValueKind.String
            || !value.TryGetProperty("shape", out var dimensions) || !value.TryGetProperty("data_offsets", out var offsets))
        {
            throw new InvalidDataException($"{path}: tensor {name} needs dtype, shape and data_offsets.");
        }
        if (!SafeTensorTypes.TryParse(typeWord.GetString()!, out var type))
        {
            throw new InvalidDataException($"{path}: tensor {name} has the type {typeWord.GetString()}, which is not supported.");
        }
        var shape = ReadNumbers(dimensions, path, name, "shape");
        var span = ReadNumbers(offsets, path, name, "data_offsets");
        if (span.Length != 2 || span[1] < span[0])
        {
            throw new InvalidDataException($"{path}: tensor {name} has data_offsets that are not a span.");
        }
        long size;
        try
        {
            size = SafeTensor.SizeOf(type, shape);
        }
        catch (OverflowException error)
        {
            throw new InvalidDataException($"{path}: tensor {name} has a shape whose size overflows.", error);
        }
        if (span[1] - span[0] != size)
        {
            throw new InvalidDataException($"{path}: tensor {name} spans {span[1] - span[0]} bytes where its shape says {size}.");
        }
        if (span[1] > long.MaxValue - dataStart)
        {
            throw new InvalidDataException($"{path}: tensor {name} ends beyond the file.");
        }
        return new SafeTensorEntry(name, type, shape, dataStart + span[0], size);
    }

    private static long[] ReadNumbers(JsonElement array, string path, string name, string key)
    {
        if (array.ValueKind != JsonValueKind.Array || array.GetArrayLength() > 16)
        {
            throw new InvalidDataException($"{path}: tensor {name}: {key} is not a short list.");
        }
        var numbers = new long[array.GetArrayLength()];
        for (int i = 0; i < numbers.Length; i++)
        {
            var element = array[i];
            if (element.ValueKind != JsonValueKind.Number || !element.TryGetInt64(out numbers[i]) || numbers[i] < 0)
            {
                throw new InvalidDataException($"{path}: tensor {name}: {key} holds something that is not a whole number from 0.");
            }
        }
        return numbers;
    }

    private static void CheckCoverage(List<SafeTensorEntry> entries, string path, long dataStart, long fileLength)
    {
        long expected = dataStart;
        foreach (var entry in entries.OrderBy(entry => entry.Offset).ThenBy(entry => entry.SizeBytes))
        {
            if (entry.Offset != expected)
            {
                throw new InvalidDataException($"{path}: tensor {entry.Name} {(entry.Offset < expected ? "overlaps the one before it" : "leaves a hole before it")}.");
            }
            expected = checked(entry.Offset + entry.SizeBytes);
        }
        if (expected != fileLength)
        {
            throw new InvalidDataException($"{path} has {fileLength} bytes where its header says {expected}: {(fileLength < expected ? "it was cut short" : "something follows the last tensor")}.");
        }
    }
}
