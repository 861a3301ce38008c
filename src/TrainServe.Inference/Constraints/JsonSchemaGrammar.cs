using System.Globalization;
using System.Text.Json;
using static TrainServe.Inference.Constraints.GrammarNode;

namespace TrainServe.Inference.Constraints;

/// <summary>A JSON schema cannot be used, or is none; the message says what and where.</summary>
public sealed class JsonSchemaException(string path, string fault) : Exception($"In {path}: {fault}")
{
    /// <summary>Where in the schema, as <c>$.properties.age</c>.</summary>
    public string Path { get; } = path;
}

/// <summary>Makes a grammar of a JSON schema: every text of the grammar is valid by the schema.</summary>
/// <remarks>
/// Properties come in the order of the schema, and only those that it names unless it names none. A keyword that this cannot hold to is refused, never passed over.
/// </remarks>
public static class JsonSchemaGrammar
{
    private const int MostDepth = 32, MostProperties = 512, MostEnum = 1024, MostCount = 10_000;

    // They describe and do not restrict.
    private static readonly HashSet<string> Annotations = new(StringComparer.Ordinal)
    {
        "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$schema", "$id", "$comment", "$defs", "definitions", "contentMediaType", "strict", "nullable",
    };

    /// <summary>The grammar of a schema's values.</summary>
    /// <param name="schema">An object, or true for any value.</param>
    /// <exception cref="JsonSchemaException">It cannot be used.</exception>
    public static GrammarNode Make(JsonElement schema) => new Maker(schema).Make(schema, "$", 0);

    private sealed class Maker(JsonElement root)
    {
        private readonly Dictionary<string, Rule> _references = new(StringComparer.Ordinal);

        public GrammarNode Make(JsonElement schema, string path, int depth)
        {
            if (depth > MostDepth)
            {
                throw new JsonSchemaException(path, $"the schema is nested more than {MostDepth} deep.");
            }
            if (schema.ValueKind == JsonValueKind.True)
            {
                return JsonGrammar.Value;
            }
            if (schema.ValueKind != JsonValueKind.Object)
            {
                throw new JsonSchemaException(path, "a schema must be an object or true.");
            }
            var keywords = new Keywords(schema, path);
            var node = Choose(keywords, path, depth);
            keywords.RequireAllTaken();
            return node;
        }

        private GrammarNode Choose(Keywords keywords, string path, int depth)
        {
            if (keywords.Take("$ref") is { } reference)
            {
                return Refer(reference, path, depth);
            }
            if (keywords.Take("const") is { } constant)
            {
                keywords.TryTake("type");
                return JsonGrammar.Constant(constant);
            }
            if (keywords.Take("enum") is { } values)
            {
                keywords.TryTake("type");
                return values.ValueKind == JsonValueKind.Array && values.GetArrayLength() is > 0 and <= MostEnum
                    ? OneOf(values.EnumerateArray().Select(JsonGrammar.Constant))
                    : throw new JsonSchemaException(path, $"'enum' must be an array of 1 to {MostEnum} values.");
            }
            foreach (string name in (string[])["anyOf", "oneOf", "allOf"])
            {
                if (keywords.Take(name) is { } parts)
                {
                    keywords.TryTake("type");
                    return Combine(name, parts, path, depth);
                }
            }
            if (keywords.Take("type") is not { } type)
            {
                return keywords.Has("properties") ? Object(keywords, path, depth) : keywords.Has("items") ? Array(keywords, path, depth) : JsonGrammar.Value;
            }
            return type.ValueKind switch
            {
                JsonValueKind.String => OfType(type.GetString()!, keywords, path, depth),
                JsonValueKind.Array when type.GetArrayLength() > 0 && type.EnumerateArray().All(item => item.ValueKind == JsonValueKind.String) =>
                    OneOf(type.EnumerateArray().Select(item => OfType(item.GetString()!, keywords, path, depth)).ToArray()),
                _ => throw new JsonSchemaException(path, "'type' must be a string or an array of strings."),
            };
        }

        private GrammarNode Combine(string name, JsonElement parts, string path, int depth)
        {
            if (parts.ValueKind != JsonValueKind.Array || parts.GetArrayLength() == 0)
            {
                throw new JsonSchemaException(path, $"'{name}' must be an array with at least one schema.");
            }
            if (name == "allOf" && parts.GetArrayLength() > 1)
            {
                throw new JsonSchemaException(path, "'allOf' of several schemas is not supported.");
            }
            return OneOf(parts.EnumerateArray().Select((part, i) => Make(part, $"{path}.{name}[{i}]", depth + 1)).ToArray());
        }

        private GrammarNode OfType(string type, Keywords keywords, string path, int depth) => type switch
        {
            "object" => Object(keywords, path, depth),
            "array" => Array(keywords, path, depth),
            "string" => String(keywords, path),
            "integer" => Integer(keywords, path),
            "number" => Number(keywords, path),
            "boolean" => JsonGrammar.Boolean,
            "null" => JsonGrammar.Null,
            _ => throw new JsonSchemaException(path, $"'{type}' is not a type."),
        };

        private GrammarNode Object(Keywords keywords, string path, int depth)
        {
            var additional = keywords.Take("additionalProperties");
            var required = keywords.Take("required") is { } names
                ? Strings(names, path, "required")
                : [];
            if (keywords.Take("properties") is not { } properties)
            {
                if (required.Count > 0)
                {
                    throw new JsonSchemaException(path, "'required' names a property that 'properties' lacks.");
                }
                return additional is not { } value || value.ValueKind == JsonValueKind.True ? JsonGrammar.Object
                    : value.ValueKind == JsonValueKind.False ? Text("{}")
                    : JsonGrammar.Map(Make(value, $"{path}.additionalProperties", depth + 1));
            }
            if (additional is { ValueKind: JsonValueKind.Object } described)
            {
                Make(described, $"{path}.additionalProperties", depth + 1); // checked, though none of them is written
            }
            if (properties.ValueKind != JsonValueKind.Object || properties.EnumerateObject().Count() > MostProperties)
            {
                throw new JsonSchemaException(path, $"'properties' must be an object with at most {MostProperties} properties.");
            }
            var items = properties.EnumerateObject().Select(property => (property.Name, Node: Join(
                JsonGrammar.Constant(property.Name), JsonGrammar.Colon, Make(property.Value, $"{path}.properties.{property.Name}", depth + 1)))).ToArray();
            if (required.Except(items.Select(item => item.Name), StringComparer.Ordinal).FirstOrDefault() is { } missing)
            {
                throw new JsonSchemaException(path, $"'required' names '{missing}', which 'properties' lacks.");
            }
            return Join(Text("{"), Properties(items, required), Text("}"));
        }

        // From the last to the first: what may follow, before any property and after one.
        private static GrammarNode Properties((string Name, GrammarNode Node)[] items, IReadOnlySet<string> required)
        {
            GrammarNode afterNone = Empty, afterSome = Empty;
            for (int i = items.Length - 1; i >= 0; i--)
            {
                var rest = new Rule { Body = afterSome };
                var first = Join(items[i].Node, rest);
                var other = Join(JsonGrammar.Comma, items[i].Node, rest);
                bool needed = required.Contains(items[i].Name);
                afterNone = needed ? first : OneOf(first, new Rule { Body = afterNone });
                afterSome = needed ? other : OneOf(other, rest);
            }
            return afterNone;
        }

        private GrammarNode Array(Keywords keywords, string path, int depth)
        {
            int least = keywords.Count("minItems") ?? 0;
            int? most = keywords.Count("maxItems");
            RequireOrder(least, most, path, "Items");
            var item = keywords.Take("items") is { } items ? Make(items, $"{path}.items", depth + 1) : JsonGrammar.Value;
            var shared = new Rule { Body = item };
            return JsonGrammar.Array(shared, least, most);
        }

        private static GrammarNode String(Keywords keywords, string path)
        {
            int? least = keywords.Count("minLength"), most = keywords.Count("maxLength");
            RequireOrder(least ?? 0, most, path, "Length");
            var pattern = keywords.Take("pattern");
            var format = keywords.Take("format");
            if (pattern is null && format is null)
            {
                return JsonGrammar.String(least ?? 0, most);
            }
            if (least is not null || most is not null || (pattern is not null && format is not null))
            {
                throw new JsonSchemaException(path, "'pattern', 'format' and limits of the length cannot be combined.");
            }
            string regex = pattern is { } given ? StringOf(given, path, "pattern") : StringFormats.Pattern(StringOf(format!.Value, path, "format"))
                ?? throw new JsonSchemaException(path, $"the format '{format.Value.GetString()}' is not supported; there are {string.Join(", ", StringFormats.Names)}.");
            try
            {
                return Join(Text("\""), RegexGrammar.Make(regex, json: true), Text("\""));
            }
            catch (FormatException error)
            {
                throw new JsonSchemaException(path, $"the pattern cannot be used: {error.Message}");
            }
        }

        private static GrammarNode Integer(Keywords keywords, string path)
        {
            var least = keywords.Bound("minimum", "exclusiveMinimum", 1);
            var most = keywords.Bound("maximum", "exclusiveMaximum", -1);
            if (least is null && most is null)
            {
                return JsonGrammar.Integer;
            }
            if (least > most)
            {
                throw new JsonSchemaException(path, "the minimum is above the maximum.");
            }
            return IntegerRange.Make(least, most);
        }

        // Of numbers with fractions only the sign can be held to.
        private static GrammarNode Number(Keywords keywords, string path)
        {
            bool natural = false;
            foreach (string name in (string[])["minimum", "exclusiveMinimum"])
            {
                if (keywords.Take(name) is { } bound)
                {
                    natural = bound.ValueKind == JsonValueKind.Number && bound.GetDouble() == 0 && name == "minimum" ? true
                        : throw new JsonSchemaException(path, $"'{name}' of a number with fractions is supported as \"minimum\": 0 only; use type integer.");
                }
            }
            return natural ? JsonGrammar.NaturalNumber : JsonGrammar.Number;
        }

        private Rule Refer(JsonElement reference, string path, int depth)
        {
            string target = StringOf(reference, path, "$ref");
            if (_references.TryGetValue(target, out var rule))
            {
                return rule;
            }
            if (target != "#" && !target.StartsWith("#/", StringComparison.Ordinal))
            {
                throw new JsonSchemaException(path, "'$ref' must begin with '#/': only this schema itself is read.");
            }
            var schema = root;
            foreach (string step in target.Split('/').Skip(1).Select(step => Uri.UnescapeDataString(step).Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal)))
            {
                if (schema.ValueKind != JsonValueKind.Object || !schema.TryGetProperty(step, out schema))
                {
                    throw new JsonSchemaException(path, $"'{target}' is not in this schema.");
                }
            }
            _references[target] = rule = new Rule();
            rule.Body = Make(schema, target, depth + 1);
            return rule;
        }

        private static void RequireOrder(int least, int? most, string path, string what)
        {
            if (least > most)
            {
                throw new JsonSchemaException(path, $"'min{what}' is above 'max{what}'.");
            }
        }

        private static HashSet<string> Strings(JsonElement value, string path, string name) =>
            value.ValueKind == JsonValueKind.Array && value.EnumerateArray().All(item => item.ValueKind == JsonValueKind.String)
                ? value.EnumerateArray().Select(item => item.GetString()!).ToHashSet(StringComparer.Ordinal)
                : throw new JsonSchemaException(path, $"'{name}' must be an array of strings.");

        private static string StringOf(JsonElement value, string path, string name) =>
            value.ValueKind == JsonValueKind.String ? value.GetString()! : throw new JsonSchemaException(path, $"'{name}' must be a string.");
    }

    /// <summary>A schema's keywords, of which none may be left over.</summary>
    private sealed class Keywords(JsonElement schema, string path)
    {
        private readonly HashSet<string> _taken = new(StringComparer.Ordinal);

        public bool Has(string name) => schema.TryGetProperty(name, out _);

        public JsonElement? Take(string name)
        {
            _taken.Add(name);
            return schema.TryGetProperty(name, out var value) ? value : null;
        }

        public void TryTake(string name) => _taken.Add(name);

        public int? Count(string name) => Take(name) is not { } value ? null
            : value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int count) && count is >= 0 and <= MostCount ? count
            : throw new JsonSchemaException(path, $"'{name}' must be a whole number from 0 to {MostCount}.");

        public long? Bound(string name, string exclusive, int step)
        {
            var including = Whole(name, step);
            var excluding = Whole(exclusive, step) + step;
            return including is null ? excluding : excluding is null ? including : step > 0 ? Math.Max(including.Value, excluding.Value) : Math.Min(including.Value, excluding.Value);
        }

        public void RequireAllTaken()
        {
            foreach (var keyword in schema.EnumerateObject())
            {
                if (!_taken.Contains(keyword.Name) && !Annotations.Contains(keyword.Name))
                {
                    throw new JsonSchemaException(path, $"'{keyword.Name}' is not supported here.");
                }
            }
        }

        private long? Whole(string name, int step)
        {
            const long limit = 1_000_000_000_000_000;
            if (Take(name) is not { } value)
            {
                return null;
            }
            if (value.ValueKind != JsonValueKind.Number || !value.TryGetDouble(out double number) || Math.Abs(number) >= limit)
            {
                throw new JsonSchemaException(path, string.Create(CultureInfo.InvariantCulture, $"'{name}' must be a number of less than {limit}."));
            }
            return (long)(step > 0 ? Math.Ceiling(number) : Math.Floor(number));
        }
    }
}
