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
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower) },
    };

    /// <summary>The same on one line, for JSON lines.</summary>
    public static JsonSerializerOptions SnakeCaseLine { get; } = new(SnakeCase) { WriteIndented = false };

    /// <summary>For documents: no key twice, so that every key is read once while parsing, and limited depth.</summary>
    internal static JsonDocumentOptions DocumentOptions { get; } = new() { AllowDuplicateProperties = false, MaxDepth = 64 };

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
        T? value;
        try
        {
            value = JsonSerializer.Deserialize<T>(utf8, options);
        }
        catch (Exception error) when (JsonFault.IsOne(error))
        {
            throw JsonFault.Of(error, utf8).In(source, error);
        }
        string? missing = value is null ? "$" : NullItems.Find(value, options);
        return missing is null ? value! : throw JsonFault.Null(missing).In(source);
    }

    /// <summary>A JSON text whose shape is not known. Every key in it can be read.</summary>
    /// <param name="utf8">The JSON text, with or without a byte order mark.</param>
    /// <param name="source">What to name in the message.</param>
    /// <exception cref="InvalidDataException">It is not JSON, or repeats a key; the message names the line.</exception>
    public static JsonDocument ParseDocument(ReadOnlyMemory<byte> utf8, string source)
    {
        if (utf8.Span.StartsWith("\uFEFF"u8))
        {
            utf8 = utf8[3..];
        }
        try
        {
            return JsonDocument.Parse(utf8, DocumentOptions);
        }
        catch (Exception error) when (JsonFault.IsOne(error))
        {
            throw JsonFault.Of(error, utf8.Span).In(source, error);
        }
    }

    /// <summary>Writes durably: a reader sees the old file or the whole new one, also after a power cut.</summary>
    public static void Write<T>(string path, T value, JsonSerializerOptions options)
    {
        var utf8 = JsonSerializer.SerializeToUtf8Bytes(value, options);
        DurableFile.Write(path, (byte[])[.. utf8, (byte)'\n']);
    }
}
