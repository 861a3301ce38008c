using System.IO.Compression;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using TrainServe.Inference.Constraints;
using TrainServe.TestSupport;

namespace TrainServe.Inference.Tests.Constraints;

/// <summary>Schemas that others wrote, with valid and invalid texts (JSONSchemaBench, Geng et al. 2025).</summary>
public sealed class MaskBenchTests(ITestOutputHelper output)
{
    [Fact]
    public void Of_real_schemas_most_are_accepted_and_those_take_what_is_valid_in_our_form_and_nothing_else()
    {
        int total = 0, outOfForm = 0, valid = 0, invalid = 0;
        List<string> refusals = [], wrong = [];
        foreach (var record in Records())
        {
            total++;
            var schema = record.GetProperty("schema");
            string name = record.GetProperty("id").GetString()!;
            CompiledGrammar grammar;
            try
            {
                grammar = new CompiledGrammar(JsonSchemaGrammar.Make(schema));
            }
            catch (Exception error) when (error is JsonSchemaException or GrammarTooLargeException)
            {
                refusals.Add($"{name}: {error.Message}");
                continue;
            }
            foreach (var test in record.GetProperty("tests").EnumerateArray())
            {
                var data = test.GetProperty("data");
                bool passes = Accepts(grammar, Write(data, schema, schema));
                if (!test.GetProperty("valid").GetBoolean())
                {
                    invalid++;
                    wrong.AddRange(passes ? [$"{name} takes what is invalid: {data}"] : []);
                }
                else if (passes || InForm(data, schema, schema))
                {
                    valid++;
                    wrong.AddRange(passes ? [] : [$"{name} does not take what is valid: {Write(data, schema, schema)}"]);
                }
                else
                {
                    outOfForm++;
                }
            }
        }
        double accepted = 1 - (double)refusals.Count / total;
        output.WriteLine($"accepted {accepted:P1} of {total} schemas; {valid} valid texts taken, {outOfForm} not in this form, {invalid} invalid ones refused; {string.Join("\n", refusals)}");
        Assert.Empty(wrong);
        Assert.InRange(accepted, 0.85, 1);
        Assert.InRange(outOfForm, 0, valid / 20);
        Assert.True(invalid > 500);
    }

    private static IEnumerable<JsonElement> Records()
    {
        using var reader = new StreamReader(new GZipStream(File.OpenRead(SharedData.File("serve/jsonschema-maskbench.jsonl.gz")), CompressionMode.Decompress));
        while (reader.ReadLine() is { } line)
        {
            yield return JsonDocument.Parse(line).RootElement;
        }
    }

    private static bool Accepts(CompiledGrammar grammar, string text)
    {
        var automaton = new GrammarAutomaton(grammar.Program);
        int state = automaton.Start;
        foreach (byte value in Encoding.UTF8.GetBytes(text))
        {
            state = automaton.Next(state, value);
            if (state == GrammarAutomaton.Dead)
            {
                return false;
            }
            if (automaton.IsFull)
            {
                (automaton, state) = automaton.Fresh(state);
            }
        }
        return automaton.IsAccepting(state);
    }

    private static readonly JsonSerializerOptions Relaxed = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    // In the schema's order of keys, as far as it names them.
    private static string Write(JsonElement data, JsonElement schema, JsonElement root)
    {
        var parts = Parts(data, schema, root, 0).ToList();
        switch (data.ValueKind)
        {
            case JsonValueKind.Object:
                var order = parts.SelectMany(part => part.TryGetProperty("properties", out var properties) && properties.ValueKind == JsonValueKind.Object ? properties.EnumerateObject().Select(property => property.Name) : []).Distinct().ToList();
                var items = data.EnumerateObject().OrderBy(item => order.IndexOf(item.Name) is var place && place < 0 ? int.MaxValue : place).ToList();
                return "{" + string.Join(",", items.Select(item => JsonSerializer.Serialize(item.Name, Relaxed) + ":" + Write(item.Value, Merge(parts.SelectMany(part => PropertyOf(part, item.Name))), root))) + "}";
            case JsonValueKind.Array:
                return "[" + string.Join(",", data.EnumerateArray().Select((item, i) => Write(item, Merge(parts.SelectMany(part => ItemOf(part, i))), root))) + "]";
            default:
                return JsonSerializer.Serialize(data, Relaxed);
        }
    }

    // Whether every property is named by the schema, or allowed in so many words.
    private static bool InForm(JsonElement data, JsonElement schema, JsonElement root)
    {
        var parts = Parts(data, schema, root, 0).ToList();
        return data.ValueKind switch
        {
            JsonValueKind.Object => data.EnumerateObject().All(item => !parts.Exists(part => IsOnlyByPattern(part, item.Name)) && (parts.Exists(part => PropertyOf(part, item.Name).Any() || part.TryGetProperty("additionalProperties", out _) || Requires(part, item.Name))
                || !parts.Exists(part => part.TryGetProperty("properties", out _) || part.TryGetProperty("patternProperties", out _))) && InForm(item.Value, Merge(parts.SelectMany(part => PropertyOf(part, item.Name))), root)),
            JsonValueKind.Array => data.EnumerateArray().Select((item, i) => InForm(item, Merge(parts.SelectMany(part => ItemOf(part, i))), root)).All(fits => fits),
            _ => true,
        };
    }

    private static bool Fits(JsonElement data, JsonElement schema)
    {
        bool fits = !schema.TryGetProperty("type", out var type) || type.ValueKind != JsonValueKind.String || type.GetString() == data.ValueKind switch
        {
            JsonValueKind.Object => "object",
            JsonValueKind.Array => "array",
            JsonValueKind.String => "string",
            JsonValueKind.Number => type.GetString() == "integer" ? "integer" : "number",
            JsonValueKind.True or JsonValueKind.False => "boolean",
            _ => "null",
        };
        if (!fits || data.ValueKind != JsonValueKind.Object)
        {
            return fits;
        }
        bool hasAll = !schema.TryGetProperty("required", out var names) || names.ValueKind != JsonValueKind.Array || names.EnumerateArray().All(item => data.TryGetProperty(item.GetString()!, out _));
        bool hasOnly = !schema.TryGetProperty("additionalProperties", out var additional) || additional.ValueKind != JsonValueKind.False || data.EnumerateObject().All(item => PropertyOf(schema, item.Name).Any());
        return hasAll && hasOnly && (!schema.TryGetProperty("properties", out var properties) || properties.ValueKind != JsonValueKind.Object || properties.EnumerateObject().All(property =>
            !data.TryGetProperty(property.Name, out var value) || property.Value.ValueKind != JsonValueKind.Object
            || ((!property.Value.TryGetProperty("const", out var constant) || JsonElement.DeepEquals(constant, value)) && (!property.Value.TryGetProperty("enum", out var values) || values.EnumerateArray().Any(item => JsonElement.DeepEquals(item, value))))));
    }

    // Others come by a pattern only where no named property matches it.
    private static bool IsOnlyByPattern(JsonElement schema, string name) =>
        schema.TryGetProperty("patternProperties", out var patterns) && patterns.ValueKind == JsonValueKind.Object && schema.TryGetProperty("properties", out var properties) && properties.ValueKind == JsonValueKind.Object
        && !properties.TryGetProperty(name, out _) && properties.EnumerateObject().Any(property => patterns.EnumerateObject().Any(pattern => Regex.IsMatch(property.Name, pattern.Name, RegexOptions.None, TimeSpan.FromSeconds(1))));

    private static bool Requires(JsonElement schema, string name) => schema.TryGetProperty("required", out var names) && names.ValueKind == JsonValueKind.Array && names.EnumerateArray().Any(item => item.GetString() == name);

    private static JsonElement Merge(IEnumerable<JsonElement> schemas) => JsonSerializer.SerializeToElement(new { allOf = schemas.ToList() });

    private static IEnumerable<JsonElement> PropertyOf(JsonElement schema, string name)
    {
        if (schema.TryGetProperty("properties", out var properties) && properties.ValueKind == JsonValueKind.Object && properties.TryGetProperty(name, out var own))
        {
            yield return own;
        }
        else if (schema.TryGetProperty("additionalProperties", out var other) && other.ValueKind == JsonValueKind.Object)
        {
            yield return other;
        }
        if (schema.TryGetProperty("patternProperties", out var patterns) && patterns.ValueKind == JsonValueKind.Object)
        {
            foreach (var pattern in patterns.EnumerateObject())
            {
                yield return pattern.Value;
            }
        }
    }

    private static IEnumerable<JsonElement> ItemOf(JsonElement schema, int index)
    {
        if (schema.TryGetProperty("prefixItems", out var first) && first.ValueKind == JsonValueKind.Array && index < first.GetArrayLength())
        {
            yield return first[index];
        }
        if (schema.TryGetProperty("items", out var items))
        {
            if (items.ValueKind == JsonValueKind.Object)
            {
                yield return items;
            }
            else if (items.ValueKind == JsonValueKind.Array && index < items.GetArrayLength())
            {
                yield return items[index];
            }
        }
    }

    // A schema with all that it is combined of.
    private static IEnumerable<JsonElement> Parts(JsonElement data, JsonElement schema, JsonElement root, int depth)
    {
        if (schema.ValueKind != JsonValueKind.Object || depth > 12)
        {
            yield break;
        }
        yield return schema;
        foreach (string name in (string[])["allOf", "anyOf", "oneOf"])
        {
            if (schema.TryGetProperty(name, out var list) && list.ValueKind == JsonValueKind.Array)
            {
                // Of alternatives the first that this value could be.
                var items = list.EnumerateArray().Select(item => Parts(data, item, root, depth + 1).ToList()).ToList();
                var chosen = name == "allOf" ? items : items.Where(parts => parts.TrueForAll(part => Fits(data, part))).Take(1).ToList();
                foreach (var part in chosen.SelectMany(parts => parts))
                {
                    yield return part;
                }
            }
        }
        if (schema.TryGetProperty("$ref", out var reference) && reference.ValueKind == JsonValueKind.String && reference.GetString() is { } target && target.StartsWith('#'))
        {
            var found = root;
            foreach (string step in target.Split('/').Skip(1).Select(step => Uri.UnescapeDataString(step).Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal)))
            {
                if (found.ValueKind != JsonValueKind.Object || !found.TryGetProperty(step, out found))
                {
                    yield break;
                }
            }
            foreach (var part in Parts(data, found, root, depth + 1))
            {
                yield return part;
            }
        }
    }
}
