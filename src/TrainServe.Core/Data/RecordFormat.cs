using System.Text.Json;

namespace TrainServe.Core.Data;

/// <summary>One way to write a record.</summary>
/// <param name="Name">For messages.</param>
/// <param name="Fits">Whether a record looks like it.</param>
/// <param name="Read">Reads a record; throws <see cref="RecordFaultException"/>.</param>
internal sealed record RecordFormat<T>(string Name, Func<JsonElement, bool> Fits, Func<JsonElement, T> Read);

internal static class RecordFormat
{
    /// <summary>The records of a file, all in the format that the first of them has.</summary>
    public static IEnumerable<(T Value, RecordOrigin Origin)> Read<T>(string path, IReadOnlyList<RecordFormat<T>> formats, BadRecords bad)
        where T : class
    {
        RecordFormat<T>? format = null;
        foreach (var (record, origin) in RecordReader.Read(path, bad))
        {
            format ??= formats.FirstOrDefault(candidate => candidate.Fits(record)) ?? throw Unknown(record, origin, formats.Select(candidate => candidate.Name));
            if (TryRead(format, record, origin, bad) is { } value)
            {
                yield return (value, origin);
            }
        }
    }

    /// <summary>Passes values on, and refuses a file that has none.</summary>
    public static IEnumerable<T> RequireSome<T>(IEnumerable<T> values, string path, BadRecords bad, string what = "record")
    {
        bool isEmpty = true;
        foreach (var value in values)
        {
            isEmpty = false;
            bad.CountGood();
            yield return value;
        }
        if (isEmpty)
        {
            throw new InvalidDataException(bad.First.Count == 0 ? $"{path} holds no {what}." : $"{path} holds no {what} that can be used; the last fault seen is {bad.First[^1]}.");
        }
    }

    private static T? TryRead<T>(RecordFormat<T> format, JsonElement record, RecordOrigin origin, BadRecords bad)
        where T : class
    {
        try
        {
            return format.Read(record);
        }
        catch (RecordFaultException fault)
        {
            bad.Add(origin, $"{fault.Message} (the file is read as {format.Name}, like its first record)", fault);
            return null;
        }
    }

    private static InvalidDataException Unknown(JsonElement record, RecordOrigin origin, IEnumerable<string> known) =>
        new($"{origin}: the record has the fields {string.Join(", ", record.EnumerateObject().Select(property => property.Name).DefaultIfEmpty("(none)"))}, which is none of the known formats: {string.Join("; ", known)}.");
}
