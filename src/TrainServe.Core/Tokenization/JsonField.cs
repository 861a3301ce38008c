using System.Text.Json;
using TrainServe.Core.IO;

namespace TrainServe.Core.Tokenization;

/// <summary>A value in a JSON file together with its place, so that every refusal names file and field.</summary>
internal readonly record struct JsonField(string File, string Path, JsonElement Value)
{
    public bool IsNull => Value.ValueKind is JsonValueKind.Null or JsonValueKind.Undefined;

    public JsonField this[string key]
    {
        get
        {
            if (Value.ValueKind != JsonValueKind.Object)
            {
                throw Refused("must be an object");
            }
            return new JsonField(File, Path.Length == 0 ? key : $"{Path}.{key}", Value.TryGetProperty(key, out var value) ? value : default);
        }
    }

    public string Text
    {
        get
        {
            if (Value.ValueKind != JsonValueKind.String)
            {
                throw Refused(IsNull ? "is missing" : "must be a string");
            }
            try
            {
                return Value.GetString()!;
            }
            catch (InvalidOperationException)
            {
                throw Refused("is not valid UTF-8");
            }
        }
    }

    public string? OptionalText => IsNull ? null : Text;

    public int Number => Value.ValueKind == JsonValueKind.Number && Value.TryGetInt32(out int number) ? number : throw Refused(IsNull ? "is missing" : "must be a whole number");

    public bool Flag(bool otherwise = false) => Value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.Null or JsonValueKind.Undefined => otherwise,
        _ => throw Refused("must be true or false"),
    };

    public IEnumerable<JsonField> Items()
    {
        if (Value.ValueKind != JsonValueKind.Array)
        {
            throw Refused(IsNull ? "is missing" : "must be a list");
        }
        return Enumerate(this);

        static IEnumerable<JsonField> Enumerate(JsonField list)
        {
            int index = 0;
            foreach (var item in list.Value.EnumerateArray())
            {
                yield return new JsonField(list.File, $"{list.Path}[{index++}]", item);
            }
        }
    }

    public IEnumerable<(string Key, JsonField Value)> Members()
    {
        if (Value.ValueKind != JsonValueKind.Object)
        {
            throw Refused(IsNull ? "is missing" : "must be an object");
        }
        return Enumerate(this);

        static IEnumerable<(string Key, JsonField Value)> Enumerate(JsonField owner)
        {
            foreach (var member in owner.Value.EnumerateObject())
            {
                yield return (member.Name, new JsonField(owner.File, $"{owner.Path}[\"{member.Name}\"]", member.Value));
            }
        }
    }

    /// <summary>Refuses a setting that would change the result and that nothing here implements.</summary>
    public void RequireOff()
    {
        bool off = Value.ValueKind is JsonValueKind.Null or JsonValueKind.Undefined or JsonValueKind.False
            || (Value.ValueKind == JsonValueKind.String && Value.ValueEquals(""))
            || (Value.ValueKind == JsonValueKind.Number && Value.TryGetDouble(out double number) && number == 0);
        if (!off)
        {
            throw Refused($"is {Shown()}, which this program does not implement");
        }
    }

    public InvalidDataException Refused(string why) => new($"{File}: {(Path.Length == 0 ? "the content" : Path)} {why}.");

    public string Shown()
    {
        string raw = IsNull ? "null" : Value.GetRawText();
        return raw.Length <= 60 ? raw : raw[..57] + "...";
    }

    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is not JSON.</exception>
    public static JsonField ReadFile(string path, out byte[] content)
    {
        if (!System.IO.File.Exists(path))
        {
            throw new FileNotFoundException($"{path} does not exist.", path);
        }
        content = System.IO.File.ReadAllBytes(path);
        return Parse(content, path);
    }

    public static JsonField Parse(ReadOnlyMemory<byte> utf8, string file)
    {
        using var document = JsonFile.ParseDocument(utf8, file);
        return new JsonField(file, "", document.RootElement.Clone());
    }
}
