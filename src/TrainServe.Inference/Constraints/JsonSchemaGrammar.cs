using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
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
/// Properties come in the order of the schema, then, where additionalProperties or patternProperties allow some, others; a schema that says nothing of additional ones gets none, unless it names none at all.
/// Numbers between bounds have no exponent. Keywords that restrict nothing, and those that no draft of the standard knows, are passed over; a keyword that restricts and that this cannot hold to is refused.
/// </remarks>
public static class JsonSchemaGrammar
{
    private const int MostDepth = 32, MostProperties = 512, MostEnum = 1024;
    private static readonly TimeSpan MostMatching = TimeSpan.FromMilliseconds(50);
    private static readonly HashSet<string> AnyName = new(StringComparer.Ordinal) { "", ".*", ".+", "^.*$", "^.+$" };
    private static readonly string[] AllTypes = ["object", "array", "string", "number", "boolean", "null"];

    /// <summary>The grammar of a schema's values.</summary>
    /// <param name="schema">An object, or true for any value.</param>
    /// <exception cref="JsonSchemaException">It cannot be used.</exception>
    public static GrammarNode Make(JsonElement schema) => new Maker(schema).Make(schema, "$", 0);

    private sealed class Maker(JsonElement root)
    {
        private readonly Dictionary<string, Rule> _references = new(StringComparer.Ordinal);

        public GrammarNode Make(JsonElement schema, string path, int depth)
        {
            RequireDepth(depth, path);
            if (schema.ValueKind == JsonValueKind.True)
            {
                return JsonGrammar.Value;
            }
            if (schema.ValueKind != JsonValueKind.Object)
            {
                throw new JsonSchemaException(path, schema.ValueKind == JsonValueKind.False ? "no value can be valid." : "a schema must be an object or true.");
            }
            return MakeFlat(Flatten(JsonObject.Create(schema)!, path, depth) ?? throw new JsonSchemaException(path, "no value can be valid: its parts exclude each other."), path, depth);
        }

        private GrammarNode MakeFlat(JsonObject schema, string path, int depth)
        {
            foreach (string name in (string[])["anyOf", "oneOf"])
            {
                if (schema[name] is { } parts)
                {
                    return Alternatives(schema, name, parts, path, depth);
                }
            }
            var keywords = new JsonSchemaKeywords(JsonSerializer.SerializeToElement(schema), path);
            var (node, types) = Choose(keywords, path, depth);
            keywords.RequireAllTaken(types);
            return node;
        }

        // Each alternative together with all that stands beside it.
        private GrammarNode Alternatives(JsonObject schema, string name, JsonNode parts, string path, int depth)
        {
            if (parts is not JsonArray { Count: > 0 } list)
            {
                throw new JsonSchemaException(path, $"'{name}' must be an array with at least one schema.");
            }
            var rest = (JsonObject)schema.DeepClone();
            rest.Remove(name);
            bool alone = !rest.Any(pair => JsonSchemaKeywords.Restricts(pair.Key));
            var alternatives = new List<GrammarNode>();
            foreach (var (part, i) in list.Select((part, i) => (part, i)))
            {
                string place = $"{path}.{name}[{i}]";
                if (alone)
                {
                    alternatives.Add(Make(JsonSerializer.SerializeToElement(part), place, depth + 1));
                }
                else if (Part(part, place, depth + 1) is { } flat && JsonSchemaMerge.Both(rest, flat, place) is { } both && Flatten(both, place, depth + 1) is { } merged)
                {
                    alternatives.Add(MakeFlat(merged, place, depth + 1));
                }
            }
            return alternatives.Count > 0 ? OneOf(alternatives) : throw new JsonSchemaException(path, $"no value can be valid: every schema of '{name}' is excluded by what stands beside it.");
        }

        // Without allOf, and without a reference beside other keywords; null where nothing can be valid.
        private JsonObject? Flatten(JsonObject schema, string path, int depth)
        {
            RequireDepth(depth, path);
            if (schema["allOf"] is not { } parts && (schema["$ref"] is null || !schema.Any(pair => pair.Key != "$ref" && JsonSchemaKeywords.Restricts(pair.Key))))
            {
                return schema;
            }
            JsonObject? result = (JsonObject)schema.DeepClone();
            result.Remove("allOf");
            if (schema["allOf"] is { } all)
            {
                if (all is not JsonArray { Count: > 0 } list)
                {
                    throw new JsonSchemaException(path, "'allOf' must be an array with at least one schema.");
                }
                for (int i = 0; i < list.Count && result is not null; i++)
                {
                    string place = $"{path}.allOf[{i}]";
                    result = Part(list[i], place, depth + 1) is { } part ? JsonSchemaMerge.Both(result, part, place) : null;
                }
            }
            if (result?["$ref"] is { } reference && result.Any(pair => pair.Key != "$ref" && JsonSchemaKeywords.Restricts(pair.Key)))
            {
                result.Remove("$ref");
                string target = reference is JsonValue value && value.TryGetValue(out string? text) ? text : throw new JsonSchemaException(path, "'$ref' must be a string.");
                result = Part(JsonNode.Parse(Resolve(target, path).GetRawText()), target, depth + 1) is { } there ? JsonSchemaMerge.Both(result, there, path) : null;
            }
            return result is null ? null : Flatten(result, path, depth + 1);
        }

        // A part of a combination, with what it refers to put in its place.
        private JsonObject? Part(JsonNode? part, string path, int depth)
        {
            RequireDepth(depth, path);
            switch (part)
            {
                case JsonValue value when value.TryGetValue(out bool truth):
                    return truth ? [] : null;
                case JsonObject schema:
                    if (Flatten(schema, path, depth) is not { } flat)
                    {
                        return null;
                    }
                    return flat["$ref"] is JsonValue reference && reference.TryGetValue(out string? target) ? Part(JsonNode.Parse(Resolve(target, path).GetRawText()), target, depth + 1) : flat;
                default:
                    throw new JsonSchemaException(path, "a schema must be an object or true.");
            }
        }

        private (GrammarNode Node, IReadOnlyList<string> Types) Choose(JsonSchemaKeywords keywords, string path, int depth)
        {
            if (keywords.Take("$ref") is { } reference)
            {
                return (Refer(reference, path, depth), []);
            }
            var types = Types(keywords, path);
            if (keywords.Take("const") is { } constant)
            {
                return (JsonGrammar.Constant(constant), types);
            }
            if (keywords.Take("enum") is { } values)
            {
                if (values.ValueKind != JsonValueKind.Array || values.GetArrayLength() is 0 or > MostEnum)
                {
                    throw new JsonSchemaException(path, $"'enum' must be an array of 1 to {MostEnum} values.");
                }
                var fitting = values.EnumerateArray().Where(value => types.Any(type => IsOf(value, type))).ToList();
                return (fitting.Count > 0 ? OneOf(fitting.Select(JsonGrammar.Constant)) : throw new JsonSchemaException(path, "no value of 'enum' is of the wanted type."), []);
            }
            if (!keywords.Has("type") && keywords.ImpliedType is { } implied)
            {
                return (OfType(implied, keywords, path, depth), [implied]);
            }
            return keywords.Has("type") ? (OneOf(types.Select(type => OfType(type, keywords, path, depth)).ToArray()), types) : (JsonGrammar.Value, []);
        }

        private static IReadOnlyList<string> Types(JsonSchemaKeywords keywords, string path) => keywords.Take("type") is not { } type ? AllTypes : type.ValueKind switch
        {
            JsonValueKind.String => [type.GetString()!],
            JsonValueKind.Array when type.GetArrayLength() > 0 && type.EnumerateArray().All(item => item.ValueKind == JsonValueKind.String) => [.. type.EnumerateArray().Select(item => item.GetString()!)],
            _ => throw new JsonSchemaException(path, "'type' must be a string or an array of strings."),
        };

        private static bool IsOf(JsonElement value, string type) => value.ValueKind switch
        {
            JsonValueKind.Object => type == "object",
            JsonValueKind.Array => type == "array",
            JsonValueKind.String => type == "string",
            JsonValueKind.Number => type == "number" || (type == "integer" && value.TryGetDouble(out double number) && Math.Floor(number) == number),
            JsonValueKind.True or JsonValueKind.False => type == "boolean",
            _ => type == "null",
        };

        private GrammarNode OfType(string type, JsonSchemaKeywords keywords, string path, int depth) => type switch
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

        private GrammarNode Object(JsonSchemaKeywords keywords, string path, int depth)
        {
            var additional = keywords.Take("additionalProperties");
            var patterns = Members(keywords.Take("patternProperties"), path, "patternProperties");
            var required = keywords.Take("required") is { } names && names.ValueKind is not (JsonValueKind.True or JsonValueKind.False) // of the third draft
                ? Strings(names, path, "required")
                : [];
            var named = Members(keywords.Take("properties"), path, "properties");
            bool namesNone = named.Count == 0 && !keywords.Has("properties") && patterns.Count == 0;
            // What is required without being described is whatever the others may be.
            foreach (string name in required.Where(name => named.All(property => property.Name != name)))
            {
                named.Add((name, additional is { ValueKind: JsonValueKind.Object } or { ValueKind: JsonValueKind.False } && !patterns.Any(pattern => Matches(pattern.Name, name, path)) ? additional.Value : JsonSerializer.SerializeToElement(true)));
            }
            var items = new List<(string Name, GrammarNode Node)>();
            foreach (var (name, schema) in named)
            {
                string place = $"{path}.properties.{name}";
                var all = patterns.Where(pattern => Matches(pattern.Name, name, path)).Select(pattern => pattern.Schema).Prepend(schema).ToList();
                bool never = all.Exists(part => part.ValueKind == JsonValueKind.False);
                if (never && required.Contains(name))
                {
                    throw new JsonSchemaException(path, $"'required' names '{name}', which may not be there.");
                }
                if (!never)
                {
                    var value = all.Count == 1 ? all[0] : JsonSerializer.SerializeToElement(new { allOf = all });
                    items.Add((name, Join(JsonGrammar.Constant(name), JsonGrammar.Colon, Make(value, place, depth + 1))));
                }
            }
            var others = Others(named.ConvertAll(property => property.Name), patterns, additional, namesNone, path, depth);
            return Join(Text("{"), Properties(items, required, others), Text("}"));
        }

        // A property that is not named; null where there may be none.
        private GrammarNode? Others(IReadOnlyList<string> named, List<(string Name, JsonElement Schema)> patterns, JsonElement? additional, bool namesNone, string path, int depth)
        {
            if (patterns.Count > 0)
            {
                // A name that matches several patterns would have to meet them all; so of several only one is written where they could meet.
                var (pattern, schema) = patterns[0];
                if (patterns.Count == 1 && AnyName.Contains(pattern) && schema.ValueKind != JsonValueKind.False)
                {
                    return Join(PropertyNames.Except(named), JsonGrammar.Colon, Make(schema, $"{path}.patternProperties.{pattern}", depth + 1));
                }
                return named.Any(name => Matches(pattern, name, path)) || patterns.Count > 1 || schema.ValueKind == JsonValueKind.False ? null
                    : Join(Text("\""), Pattern(pattern, path), Text("\""), JsonGrammar.Colon, Make(schema, $"{path}.patternProperties.{pattern}", depth + 1));
            }
            return additional switch
            {
                { ValueKind: JsonValueKind.False } => null,
                { ValueKind: JsonValueKind.Object or JsonValueKind.True } value => Join(named.Count == 0 ? JsonGrammar.AnyString : PropertyNames.Except(named), JsonGrammar.Colon, Make(value, $"{path}.additionalProperties", depth + 1)),
                null => namesNone ? Join(named.Count == 0 ? JsonGrammar.AnyString : PropertyNames.Except(named), JsonGrammar.Colon, JsonGrammar.Value) : null,
                _ => throw new JsonSchemaException(path, "'additionalProperties' must be a schema."),
            };
        }

        // From the last to the first: what may follow, before any property and after one.
        private static GrammarNode Properties(IReadOnlyList<(string Name, GrammarNode Node)> items, IReadOnlySet<string> required, GrammarNode? others)
        {
            GrammarNode afterNone = Empty, afterSome = Empty;
            if (others is not null)
            {
                var other = new Rule { Body = others };
                afterSome = new Repeat(Join(JsonGrammar.Comma, other), 0, null);
                afterNone = Optional(Join(other, afterSome));
            }
            for (int i = items.Count - 1; i >= 0; i--)
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

        private GrammarNode Array(JsonSchemaKeywords keywords, string path, int depth)
        {
            int least = keywords.Least("minItems") ?? 0;
            int? most = keywords.Most("maxItems");
            RequireOrder(least, most, path, "Items");
            if (keywords.Take("uniqueItems") is { ValueKind: not JsonValueKind.False } && most is not (0 or 1))
            {
                throw new JsonSchemaException(path, "'uniqueItems' is not supported here.");
            }
            var items = keywords.Take("items");
            var first = keywords.Take("prefixItems") ?? (items is { ValueKind: JsonValueKind.Array } ? items : null);
            if (first is { } tuple)
            {
                var rest = items is { ValueKind: JsonValueKind.Array } ? keywords.Take("additionalItems") : items;
                return Tuple(tuple, rest, least, most, path, depth);
            }
            if (items is { ValueKind: JsonValueKind.False })
            {
                return least == 0 ? Text("[]") : throw new JsonSchemaException(path, "no array can be valid: it needs items and may have none.");
            }
            var shared = new Rule { Body = items is { } each ? Make(each, $"{path}.items", depth + 1) : JsonGrammar.Value };
            return JsonGrammar.Array(shared, least, most);
        }

        private GrammarNode Tuple(JsonElement tuple, JsonElement? rest, int least, int? most, string path, int depth)
        {
            if (tuple.ValueKind != JsonValueKind.Array || tuple.GetArrayLength() > MostProperties)
            {
                throw new JsonSchemaException(path, $"a list of items must be an array of at most {MostProperties} schemas.");
            }
            var items = tuple.EnumerateArray().Take(most ?? MostProperties).Select((item, i) => (GrammarNode)new Rule { Body = Make(item, $"{path}.items[{i}]", depth + 1) }).ToList();
            // Beyond the list others come only where they are described, or needed.
            GrammarNode tail = Empty;
            int further = Math.Max(0, least - items.Count);
            if (rest is { ValueKind: JsonValueKind.Object or JsonValueKind.True } other && (most is null || most > items.Count))
            {
                tail = new Repeat(Join(JsonGrammar.Comma, new Rule { Body = Make(other, $"{path}.items", depth + 1) }), further, most - items.Count);
            }
            else if (further > 0)
            {
                throw new JsonSchemaException(path, "'minItems' asks for more items than are described.");
            }
            for (int i = items.Count - 1; i >= 0; i--)
            {
                var after = i == 0 ? Join(items[i], tail) : Join(JsonGrammar.Comma, items[i], tail);
                tail = i >= least ? Optional(after) : after;
            }
            return Join(Text("["), tail, Text("]"));
        }

        private static GrammarNode String(JsonSchemaKeywords keywords, string path)
        {
            int? least = keywords.Least("minLength"), most = keywords.Most("maxLength");
            RequireOrder(least ?? 0, most, path, "Length");
            string? pattern = keywords.Take("pattern") is { } given ? StringOf(given, path, "pattern") : null, format = keywords.Take("format") is { } name ? StringOf(name, path, "format") : null;
            // A format that the standard does not know restricts nothing.
            format = format is not null && !StringFormats.IsKnown(format) ? null : format;
            if (pattern is null && format is null)
            {
                return JsonGrammar.String(least ?? 0, most);
            }
            // A length of one character at least says nothing of a pattern that has no empty match.
            bool limited = most is not null || least is > 1 || (least == 1 && pattern is not null && Matches(pattern, "", path));
            if (limited || (pattern is not null && format is not null))
            {
                throw new JsonSchemaException(path, "'pattern', 'format' and limits of the length cannot be combined.");
            }
            return Join(Text("\""), Pattern(pattern ?? StringFormats.Pattern(format!) ?? throw new JsonSchemaException(path, $"the format '{format}' is not supported; there are {string.Join(", ", StringFormats.Names)}."), path), Text("\""));
        }

        private static GrammarNode Pattern(string regex, string path)
        {
            try
            {
                return RegexGrammar.Make(regex, json: true);
            }
            catch (FormatException error)
            {
                throw new JsonSchemaException(path, $"the pattern cannot be used: {error.Message}");
            }
        }

        private static bool Matches(string pattern, string text, string path)
        {
            try
            {
                return Regex.IsMatch(text, pattern, RegexOptions.ECMAScript, MostMatching);
            }
            catch (Exception error) when (error is ArgumentException or RegexMatchTimeoutException)
            {
                throw new JsonSchemaException(path, $"the pattern cannot be used: {error.Message}");
            }
        }

        private static GrammarNode Integer(JsonSchemaKeywords keywords, string path)
        {
            var least = keywords.Bound("minimum", "exclusiveMinimum", isLower: true);
            var most = keywords.Bound("maximum", "exclusiveMaximum", isLower: false);
            if (least is null && most is null)
            {
                return JsonGrammar.Integer;
            }
            long? from = least is { } low ? (long)Math.Ceiling(low.Value) + (low.Excluded && Math.Ceiling(low.Value) == low.Value ? 1 : 0) : null;
            long? to = most is { } high ? (long)Math.Floor(high.Value) - (high.Excluded && Math.Floor(high.Value) == high.Value ? 1 : 0) : null;
            return from > to ? throw new JsonSchemaException(path, "the minimum is above the maximum.") : IntegerRange.Make(from, to);
        }

        private static GrammarNode Number(JsonSchemaKeywords keywords, string path)
        {
            var least = keywords.Bound("minimum", "exclusiveMinimum", isLower: true);
            var most = keywords.Bound("maximum", "exclusiveMaximum", isLower: false);
            if (least is null && most is null)
            {
                return JsonGrammar.Number;
            }
            if (least is (0, false) && most is null)
            {
                return JsonGrammar.NaturalNumber;
            }
            return NumberRange.Make(Whole(least, path), least?.Excluded == true, Whole(most, path), most?.Excluded == true) ?? throw new JsonSchemaException(path, "the minimum is above the maximum.");
        }

        private static long? Whole((double Value, bool Excluded)? bound, string path) => bound is not { } given ? null
            : Math.Floor(given.Value) == given.Value ? (long)given.Value
            : throw new JsonSchemaException(path, string.Create(CultureInfo.InvariantCulture, $"{given.Value} bounds a number with fractions; only whole bounds are supported."));

        private Rule Refer(JsonElement reference, string path, int depth)
        {
            string target = StringOf(reference, path, "$ref");
            if (_references.TryGetValue(target, out var rule))
            {
                return rule;
            }
            var schema = Resolve(target, path);
            _references[target] = rule = new Rule();
            rule.Body = Make(schema, target, depth + 1);
            return rule;
        }

        private JsonElement Resolve(string target, string path)
        {
            if (target != "#" && !target.StartsWith("#/", StringComparison.Ordinal))
            {
                throw new JsonSchemaException(path, "'$ref' must begin with '#/': only this schema itself is read.");
            }
            var schema = root;
            foreach (string step in target.Split('/').Skip(1).Select(step => Uri.UnescapeDataString(step).Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal)))
            {
                bool found = schema.ValueKind switch
                {
                    JsonValueKind.Object => schema.TryGetProperty(step, out schema),
                    JsonValueKind.Array => int.TryParse(step, NumberStyles.None, CultureInfo.InvariantCulture, out int index) && index < schema.GetArrayLength() && (schema = schema[index]).ValueKind != JsonValueKind.Undefined,
                    _ => false,
                };
                if (!found)
                {
                    throw new JsonSchemaException(path, $"'{target}' is not in this schema.");
                }
            }
            return schema;
        }

        private static void RequireDepth(int depth, string path)
        {
            if (depth > MostDepth)
            {
                throw new JsonSchemaException(path, $"the schema is nested more than {MostDepth} deep.");
            }
        }

        private static void RequireOrder(int least, int? most, string path, string what)
        {
            if (least > most)
            {
                throw new JsonSchemaException(path, $"'min{what}' is above 'max{what}'.");
            }
        }

        private static List<(string Name, JsonElement Schema)> Members(JsonElement? value, string path, string name) => value is not { } members ? []
            : members.ValueKind == JsonValueKind.Object && members.EnumerateObject().Count() <= MostProperties ? [.. members.EnumerateObject().Select(member => (member.Name, member.Value))]
            : throw new JsonSchemaException(path, $"'{name}' must be an object with at most {MostProperties} properties.");

        private static HashSet<string> Strings(JsonElement value, string path, string name) =>
            value.ValueKind == JsonValueKind.Array && value.EnumerateArray().All(item => item.ValueKind == JsonValueKind.String)
                ? value.EnumerateArray().Select(item => item.GetString()!).ToHashSet(StringComparer.Ordinal)
                : throw new JsonSchemaException(path, $"'{name}' must be an array of strings.");

        private static string StringOf(JsonElement value, string path, string name) =>
            value.ValueKind == JsonValueKind.String ? value.GetString()! : throw new JsonSchemaException(path, $"'{name}' must be a string.");
    }
}
