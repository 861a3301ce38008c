using System.Globalization;
using System.Text.Json;

namespace TrainServe.Inference.Constraints;

/// <summary>A schema's keywords, of which none that restricts may be left over.</summary>
internal sealed class JsonSchemaKeywords(JsonElement schema, string path)
{
    private const int MostCount = 10_000;

    // What restricts values, of each type and of all; anything else describes them, and the standard has unknown keywords ignored.
    private static readonly Dictionary<string, string[]> Restricting = new(StringComparer.Ordinal)
    {
        ["object"] = ["properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties", "maxProperties", "dependencies", "dependentRequired", "dependentSchemas", "unevaluatedProperties"],
        ["array"] = ["items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems", "contains", "minContains", "maxContains", "unevaluatedItems"],
        ["string"] = ["minLength", "maxLength", "pattern", "format"],
        ["number"] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
        [""] = ["type", "enum", "const", "anyOf", "oneOf", "allOf", "not", "if", "then", "else", "$ref", "$dynamicRef", "$recursiveRef"],
    };

    private static readonly HashSet<string> All = [.. Restricting.Values.SelectMany(names => names)];
    private readonly HashSet<string> _taken = new(StringComparer.Ordinal);

    public static bool Restricts(string keyword) => All.Contains(keyword);

    /// <summary>The type whose values some keyword is about; null where there is none such.</summary>
    public string? ImpliedType => ((string[])["object", "array", "string", "number"]).FirstOrDefault(type => Restricting[type].Any(name => name != "format" && Has(name)));

    public bool Has(string name) => schema.TryGetProperty(name, out _);

    public JsonElement? Take(string name)
    {
        _taken.Add(name);
        return schema.TryGetProperty(name, out var value) ? value : null;
    }

    public int? Least(string name) => Take(name) is not { } value ? null
        : value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double count) && count is >= 0 and <= MostCount && Math.Floor(count) == count ? (int)count
        : throw new JsonSchemaException(path, $"'{name}' must be a whole number from 0 to {MostCount}.");

    /// <summary>A limit of a count. One beyond what is supported anyway is as good as the largest that is.</summary>
    public int? Most(string name) => Take(name) is not { } value ? null
        : value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double count) && count >= 0 && Math.Floor(count) == count ? (int)Math.Min(count, MostCount)
        : throw new JsonSchemaException(path, $"'{name}' must be a whole number, 0 or more.");

    /// <summary>A lower bound, and whether it is excluded. Older drafts say so by a boolean.</summary>
    public (double Value, bool Excluded)? Bound(string name, string exclusive, bool isLower)
    {
        var including = Number(name);
        if (Take(exclusive) is { ValueKind: JsonValueKind.True or JsonValueKind.False } flag)
        {
            return including is { } bound ? (bound, flag.ValueKind == JsonValueKind.True) : null;
        }
        var excluding = Number(exclusive);
        return (including, excluding) switch
        {
            (null, null) => null,
            ({ } value, null) => (value, false),
            (null, { } value) => (value, true),
            ({ } value, { } other) => isLower ? (other >= value ? (other, true) : (value, false)) : other <= value ? (other, true) : (value, false),
        };
    }

    /// <param name="types">Of the values that the schema takes: keywords about others do not matter.</param>
    public void RequireAllTaken(IEnumerable<string> types)
    {
        var relevant = types.Select(type => type == "integer" ? "number" : type).Append("").Where(Restricting.ContainsKey).SelectMany(type => Restricting[type]).ToHashSet(StringComparer.Ordinal);
        foreach (var keyword in schema.EnumerateObject())
        {
            if (!_taken.Contains(keyword.Name) && relevant.Contains(keyword.Name))
            {
                throw new JsonSchemaException(path, $"'{keyword.Name}' is not supported here.");
            }
        }
    }

    private double? Number(string name)
    {
        const double limit = 1e15;
        if (Take(name) is not { } value)
        {
            return null;
        }
        return value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) && Math.Abs(number) < limit ? number
            : throw new JsonSchemaException(path, string.Create(CultureInfo.InvariantCulture, $"'{name}' must be a number of less than {limit:F0}."));
    }
}
