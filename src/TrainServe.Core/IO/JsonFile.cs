using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace TrainServe.Core.IO;

/// <summary>JSON files on disk: one set of options, and errors that name the file.</summary>
public static class JsonFile
{
    /// <summary>Hugging Face's and OpenAI's spelling: <c>NumHiddenLayers</c> is <c>num_hidden_layers</c>. Indented.</summary>
    public static JsonSerializerOptions SnakeCase { get; } = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        WriteIndented = true,
        AllowDuplicateProperties = false,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower) },
    };

    /// <summary>The same on one line, for JSON lines.</summary>
    public static JsonSerializerOptions SnakeCaseLine { get; } = new(SnakeCase) { WriteIndented = false };

    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The content is not JSON of this shape; the message names the file and the place.</exception>
    public static T Read<T>(string path, JsonSerializerOptions options)
    {
        if (!File.Exists(path))
        {
            throw new FileNotFoundException($"{path} does not exist.", path);
        }
        return Parse<T>(File.ReadAllBytes(path), path, options);
    }

    /// <param name="utf8">The JSON text, with or without a byte order mark.</param>
    /// <param name="source">What to name in the message.</param>
    /// <param name="options">Usually <see cref="SnakeCase"/>.</param>
    public static T Parse<T>(ReadOnlySpan<byte> utf8, string source, JsonSerializerOptions options)
    {
        if (utf8.StartsWith("\uFEFF"u8))
        {
            utf8 = utf8[3..];
        }
        try
        {
            return JsonSerializer.Deserialize<T>(utf8, options) ?? throw new InvalidDataException($"{source} holds null.");
        }
        catch (JsonException error)
        {
            string place = error.LineNumber is { } line ? $", line {line + 1}" : "";
            string field = error.Path is null or "$" ? "" : $", at {error.Path}";
            throw new InvalidDataException($"{source}{place}{field} is not the JSON that is expected: {FirstSentence(error.Message)}", error);
        }
        catch (InvalidOperationException error)
        {
            // System.Text.Json reports invalid UTF-8 inside a string this way.
            throw new InvalidDataException($"{source} is not valid UTF-8 JSON.", error);
        }
    }

    /// <summary>Writes durably: a reader sees the old file or the whole new one, also after a power cut.</summary>
    public static void Write<T>(string path, T value, JsonSerializerOptions options)
    {
        var utf8 = JsonSerializer.SerializeToUtf8Bytes(value, options);
        DurableFile.Write(path, [.. utf8, (byte)'\n']);
    }

    private static string FirstSentence(string message)
    {
        int end = message.IndexOf(" Path:", StringComparison.Ordinal);
        return end > 0 ? message[..end] : message;
    }
}
