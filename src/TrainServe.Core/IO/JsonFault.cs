using System.Text.Json;

namespace TrainServe.Core.IO;

/// <summary>What is wrong with a JSON text, and where: made of what System.Text.Json throws.</summary>
/// <param name="Reason">Without a full stop.</param>
/// <param name="Line">From 1; null where it is not known.</param>
/// <param name="Field">Such as <c>$.files[0]</c>; null where it is not known.</param>
internal sealed record JsonFault(string Reason, long? Line, string? Field)
{
    private const string IsNull = "is null, where a value is needed";

    /// <summary>Whether the text is JSON, and the fault is the value of a field: the reason is then what is said of it.</summary>
    public bool IsOfValue { get; private init; }

    /// <summary>Whether an exception that parsing threw tells of the text, and not of a mistake in the program.</summary>
    /// <remarks>Half of a surrogate pair and bytes that are no UTF-8 are found only when a string is unescaped, and come as <see cref="InvalidOperationException"/>.</remarks>
    public static bool IsOne(Exception error) => error is JsonException or InvalidOperationException;

    /// <param name="error">For which <see cref="IsOne"/> holds.</param>
    /// <param name="utf8">What was parsed.</param>
    public static JsonFault Of(Exception error, ReadOnlySpan<byte> utf8)
    {
        if ((error is InvalidOperationException || error.InnerException is InvalidOperationException) && BadString(utf8) is { } badString)
        {
            return badString;
        }
        if (error is not JsonException json)
        {
            return new JsonFault(error.Message.TrimEnd('.'), null, null);
        }
        string? field = json.Path is null or "" or "$" ? null : json.Path;
        string message = json.Message.Split(" LineNumber:")[0].Split(" Path:")[0].TrimEnd('.', ' ');
        // System.Text.Json says these with the names of types.
        string? ofValue = message.Contains("doesn't allow", StringComparison.Ordinal) ? IsNull
            : message.Contains("could not be converted", StringComparison.Ordinal) ? "has a value of another kind than is needed"
            : message.Split("missing required properties including: ") is [_, var names] ? $"lacks {names}"
            : null;
        return new JsonFault(ofValue ?? message, json.LineNumber + 1, field) { IsOfValue = ofValue is not null };
    }

    public static JsonFault Null(string field) => new(IsNull, null, field) { IsOfValue = true };

    /// <summary>The first string or key that has half of a surrogate pair or is not UTF-8; null when every one can be read.</summary>
    public static JsonFault? BadString(ReadOnlySpan<byte> utf8)
    {
        var reader = new Utf8JsonReader(utf8);
        try
        {
            while (reader.Read())
            {
                if (reader.TokenType is JsonTokenType.String or JsonTokenType.PropertyName)
                {
                    reader.GetString();
                }
            }
            return null;
        }
        catch (InvalidOperationException)
        {
            long line = 1 + utf8[..(int)reader.TokenStartIndex].Count((byte)'\n');
            return new JsonFault("a string has half of a surrogate pair, or bytes that are not UTF-8", line, null);
        }
        catch (JsonException)
        {
            // Damaged in another way, which the parser itself reports.
            return null;
        }
    }

    /// <summary>The sentence that refuses a file.</summary>
    public InvalidDataException In(string source, Exception? inner = null)
    {
        string line = Line is { } number ? string.Create(System.Globalization.CultureInfo.InvariantCulture, $", line {number}") : "", field = Field is null ? "" : $", at {Field}";
        return new InvalidDataException(IsOfValue ? $"{source}{line}: {Field ?? "the content"} {Reason}." : $"{source}{line}{field} is not the JSON that is expected: {Reason}.", inner);
    }
}
