using System.Globalization;
using System.Text;
using System.Text.Json;
using TrainServe.Core.Sampling;
using TrainServe.Server.Errors;

namespace TrainServe.Server.Requests;

/// <summary>Walks a request body once, strictly, and says in OpenAI's words which field does not fit and why.</summary>
/// <remarks>
/// Keys are case-sensitive and may not repeat, numbers are not strings, infinities are refused (System.Text.Json itself reads <c>1e999</c> as one),
/// and so are lone surrogates. No document is built: what is not asked for is skipped, so a hostile body costs no more memory than itself.
/// A method that reads a value expects the reader on its first token and leaves it on its last.
/// </remarks>
internal ref struct JsonRequestReader
{
    private const int MaxDepth = 64, ShownLength = 64;
    private readonly Level[] _levels = new Level[MaxDepth + 1];
    private Utf8JsonReader _json;
    private int _depth;

    /// <exception cref="InvalidRequestException">The body is not a JSON object.</exception>
    public JsonRequestReader(ReadOnlySpan<byte> utf8)
    {
        if (!System.Text.Unicode.Utf8.IsValid(utf8))
        {
            throw InvalidRequestException.NotJson("it is not valid UTF-8");
        }
        _json = new Utf8JsonReader(utf8, new JsonReaderOptions { MaxDepth = MaxDepth });
        Advance();
        if (_json.TokenType != JsonTokenType.StartObject)
        {
            throw InvalidRequestException.NotJson($"the body must be an object, but it is {Kind}");
        }
    }

    /// <summary>Where the reader stands, as <c>messages[0].content</c>; null for the body itself.</summary>
    public readonly string? Path
    {
        get
        {
            var path = new StringBuilder();
            foreach (var level in _levels[.._depth])
            {
                if (level.Index >= 0)
                {
                    path.Append('[').Append(level.Index).Append(']');
                }
                else if (level.Name is { } name)
                {
                    path.Append(path.Length == 0 ? "" : ".").Append(Shown(name));
                }
            }
            return path.Length == 0 ? null : path.ToString();
        }
    }

    /// <summary>What the body's <c>messages</c> may hold at most.</summary>
    public int MostMessages { get; init; } = int.MaxValue;

    public readonly bool IsNull => _json.TokenType == JsonTokenType.Null;
    public readonly bool IsString => _json.TokenType == JsonTokenType.String;
    public readonly bool IsNumber => _json.TokenType == JsonTokenType.Number;
    public readonly bool IsArray => _json.TokenType == JsonTokenType.StartArray;

    /// <summary>What stands here, in the words of OpenAI's messages.</summary>
    private readonly string Kind => _json.TokenType switch
    {
        JsonTokenType.StartObject => "an object",
        JsonTokenType.StartArray => "an array",
        JsonTokenType.String => "a string",
        JsonTokenType.True or JsonTokenType.False => "a boolean",
        JsonTokenType.Null => "null",
        _ => _json.TryGetInt64(out _) || IsWholeNumber(_json.ValueSpan) ? "an integer" : "a decimal number",
    };

    /// <summary>Starts an object; then call <see cref="NextProperty"/> until it is false.</summary>
    public void EnterObject(string expected = "an object")
    {
        if (_json.TokenType != JsonTokenType.StartObject)
        {
            throw WrongType(expected);
        }
        Enter();
    }

    /// <summary>Goes to the value of the next property, or leaves the object.</summary>
    public bool NextProperty(out string name)
    {
        Advance();
        if (_json.TokenType == JsonTokenType.EndObject)
        {
            _depth--;
            name = "";
            return false;
        }
        var level = _levels[_depth - 1];
        level.Name = null;
        level.Name = name = Text();
        if (!level.Seen.Add(name))
        {
            throw Invalid("duplicate_parameter", $"Invalid body: the key '{Path}' appears more than once.");
        }
        Advance();
        return true;
    }

    /// <summary>Starts an array; then call <see cref="NextItem"/> until it is false.</summary>
    public void EnterArray(string expected)
    {
        if (_json.TokenType != JsonTokenType.StartArray)
        {
            throw WrongType(expected);
        }
        Enter();
    }

    /// <summary>Goes to the next element, or leaves the array.</summary>
    /// <param name="mostItems">With more elements than this the array is refused, without keeping them.</param>
    public bool NextItem(int mostItems = int.MaxValue)
    {
        Advance();
        var level = _levels[_depth - 1];
        if (_json.TokenType == JsonTokenType.EndArray)
        {
            _depth--;
            return false;
        }
        if (++level.Index < mostItems)
        {
            return true;
        }
        int length = level.Index;
        for (; _json.TokenType != JsonTokenType.EndArray; Advance())
        {
            length++;
            SkipTokens();
        }
        _depth--;
        throw Invalid("array_above_max_length",
            $"Invalid '{Path}': array too long. Expected an array with maximum length {mostItems}, but got an array with length {length} instead.");
    }

    /// <summary>Leaves the outermost object: nothing may follow it.</summary>
    public void End()
    {
        try
        {
            _json.Read();
        }
        catch (JsonException error)
        {
            throw NotJson(error);
        }
    }

    /// <param name="mostLength">In UTF-16 code units.</param>
    public readonly string ReadString(int mostLength = int.MaxValue)
    {
        if (_json.TokenType != JsonTokenType.String)
        {
            throw WrongType("a string");
        }
        string text = Text();
        if (text.Length > mostLength)
        {
            throw Invalid("string_above_max_length",
                $"Invalid '{Path}': string too long. Expected a string with maximum length {mostLength}, but got a string with length {text.Length} instead.");
        }
        return text;
    }

    public readonly string ReadOneOf(params ReadOnlySpan<string> values)
    {
        string text = ReadString();
        if (!values.Contains(text))
        {
            throw InvalidValue(text, values);
        }
        return text;
    }

    public readonly bool ReadBoolean() => _json.TokenType switch
    {
        JsonTokenType.True => true,
        JsonTokenType.False => false,
        _ => throw WrongType("a boolean"),
    };

    public readonly int ReadInt32(int least, int most) => (int)ReadInteger(least, most);

    public readonly long ReadInteger(long least, long most)
    {
        if (_json.TokenType != JsonTokenType.Number)
        {
            throw WrongType("an integer");
        }
        if (!_json.TryGetInt64(out long value))
        {
            if (!IsWholeNumber(_json.ValueSpan))
            {
                throw WrongType("an integer");
            }
            value = _json.ValueSpan[0] == '-' ? long.MinValue : long.MaxValue;
            throw OutOfRange("integer", above: value > 0, (value > 0 ? most : least).ToString(CultureInfo.InvariantCulture));
        }
        return value > most ? throw OutOfRange("integer", above: true, most.ToString(CultureInfo.InvariantCulture))
            : value < least ? throw OutOfRange("integer", above: false, least.ToString(CultureInfo.InvariantCulture))
            : value;
    }

    public readonly float ReadNumber(NumberRange range)
    {
        var (least, most) = range;
        if (_json.TokenType != JsonTokenType.Number)
        {
            throw WrongType("a decimal");
        }
        double value = _json.GetDouble();
        return value > most ? throw OutOfRange("decimal", above: true, most.ToString(CultureInfo.InvariantCulture))
            : value < least ? throw OutOfRange("decimal", above: false, least.ToString(CultureInfo.InvariantCulture))
            : (float)value;
    }

    /// <summary>Passes over a value of any kind; repeated keys and broken text inside it are still refused.</summary>
    public void Skip()
    {
        switch (_json.TokenType)
        {
            case JsonTokenType.String:
                Text();
                break;
            case JsonTokenType.StartArray:
                EnterArray("an array");
                while (NextItem())
                {
                    Skip();
                }
                break;
            case JsonTokenType.StartObject:
                EnterObject();
                while (NextProperty(out _))
                {
                    Skip();
                }
                break;
        }
    }

    /// <summary>Passes over a value and returns it without white space if it is short, and null otherwise.</summary>
    public string? ReadCompact()
    {
        const int longest = 128;
        var start = _json;
        Skip();
        long length = _json.BytesConsumed - start.TokenStartIndex;
        if (length > longest)
        {
            return null;
        }
        using var value = JsonDocument.ParseValue(ref start);
        return JsonSerializer.Serialize(value.RootElement, Contracts.WireJson.Wire.JsonElement);
    }

    /// <summary>Takes a value of any kind as it is.</summary>
    public JsonElement ReadElement()
    {
        var start = _json;
        Skip();
        using var value = JsonDocument.ParseValue(ref start);
        return value.RootElement.Clone();
    }

    /// <summary>A value on one line, without white space.</summary>
    public static string Compact(JsonElement value) => JsonSerializer.Serialize(value, Contracts.WireJson.Wire.JsonElement);

    public readonly InvalidRequestException WrongType(string expected) =>
        Invalid("invalid_type", $"Invalid type for '{Path}': expected {expected}, but got {Kind} instead.");

    public readonly InvalidRequestException InvalidValue(string got, params ReadOnlySpan<string> supported) =>
        Invalid("invalid_value", $"Invalid value: '{Shown(got)}'. Supported values are: {Listed(supported)}.");

    public readonly InvalidRequestException UnknownParameter() => Invalid("unknown_parameter", $"Unknown parameter: '{Path}'.");

    /// <summary>A refusal that names the place where the reader stands.</summary>
    public readonly InvalidRequestException Invalid(string code, string message) => new(message, Path, code);

    /// <summary>What a message may show of something that a caller sent.</summary>
    public static string Shown(string text) => text.Length <= ShownLength ? text : text[..ShownLength] + "...";

    private static string Listed(ReadOnlySpan<string> values)
    {
        var text = new StringBuilder();
        for (int i = 0; i < values.Length; i++)
        {
            text.Append(i == 0 ? "" : i < values.Length - 1 ? ", " : values.Length == 2 ? " and " : ", and ").Append('\'').Append(values[i]).Append('\'');
        }
        return text.ToString();
    }

    private void Enter()
    {
        ref var level = ref _levels[_depth++];
        if (level is null || level.Seen.Capacity > 64)
        {
            level = new Level(); // a set that grew large would be slow to clear for each small object after it
        }
        level.Index = -1;
        level.Name = null;
        level.Seen.Clear();
    }

    private static bool IsWholeNumber(ReadOnlySpan<byte> digits) => digits.IndexOfAny((byte)'.', (byte)'e', (byte)'E') < 0;

    private readonly InvalidRequestException OutOfRange(string kind, bool above, string limit)
    {
        string number = Encoding.UTF8.GetString(_json.ValueSpan.Length <= ShownLength ? _json.ValueSpan : _json.ValueSpan[..ShownLength]);
        return above
            ? Invalid($"{kind}_above_max_value", $"Invalid '{Path}': {kind} above maximum value. Expected a value <= {limit}, but got {number} instead.")
            : Invalid($"{kind}_below_min_value", $"Invalid '{Path}': {kind} below minimum value. Expected a value >= {limit}, but got {number} instead.");
    }

    private readonly string Text()
    {
        try
        {
            return _json.GetString()!;
        }
        catch (InvalidOperationException)
        {
            // System.Text.Json's way to report half of a surrogate pair.
            throw Invalid("invalid_value", "Invalid body: a string holds half of a surrogate pair, which is not text.");
        }
    }

    private void SkipTokens()
    {
        try
        {
            _json.Skip();
        }
        catch (JsonException error)
        {
            throw NotJson(error);
        }
    }

    private void Advance()
    {
        try
        {
            if (!_json.Read())
            {
                throw InvalidRequestException.NotJson("it ends too early");
            }
        }
        catch (JsonException error)
        {
            throw NotJson(error);
        }
    }

    private static InvalidRequestException NotJson(JsonException error) =>
        InvalidRequestException.NotJson($"it is wrong at line {error.LineNumber + 1}, byte {error.BytePositionInLine + 1}");

    private sealed class Level
    {
        public int Index;
        public string? Name;
        public HashSet<string> Seen { get; } = new(StringComparer.Ordinal);
    }
}
