using System.Text.Json.Nodes;

namespace TrainServe.Inference.Constraints;

/// <summary>Makes one schema of two that both have to hold, keyword by keyword.</summary>
internal static class JsonSchemaMerge
{
    private const int MostAlternatives = 64;
    private const string Additional = "additionalProperties", Properties = "properties";

    /// <summary>The schema that holds where both do; null where no value can meet both.</summary>
    /// <exception cref="JsonSchemaException">Two keywords cannot be made one.</exception>
    public static JsonObject? Both(JsonObject one, JsonObject other, string path)
    {
        // What one names, the other may forbid or describe by its additionalProperties.
        one = Narrowed(one, other);
        other = Narrowed(other, one);
        var result = (JsonObject)one.DeepClone();
        foreach (var (name, value) in other)
        {
            if (!result.TryGetPropertyValue(name, out var known))
            {
                result[name] = value?.DeepClone();
                continue;
            }
            if (!Combine(result, name, known, value, path))
            {
                return null;
            }
        }
        return result;
    }

    private static bool Combine(JsonObject result, string name, JsonNode? known, JsonNode? value, string path)
    {
        switch (name)
        {
            case "type":
                var types = Types(known).SelectMany(type => Types(value).Select(other => Narrower(type, other))).OfType<string>().Distinct(StringComparer.Ordinal).ToArray();
                result[name] = types is [var only] ? only : new JsonArray([.. types.Select(type => (JsonNode)type)]);
                return types.Length > 0;
            case "enum" when known is JsonArray values && value is JsonArray others:
                var both = values.Where(item => others.Any(other => JsonNode.DeepEquals(item, other))).Select(item => item?.DeepClone()).ToArray();
                result[name] = new JsonArray(both);
                return both.Length > 0;
            case "const":
                return JsonNode.DeepEquals(known, value);
            case "required" when known is JsonArray names && value is JsonArray more:
                result[name] = new JsonArray([.. names.Concat(more).Select(item => item!.GetValue<string>()).Distinct(StringComparer.Ordinal).Select(item => (JsonNode)item)]);
                return true;
            case Properties or "patternProperties" or "$defs" or "definitions" when known is JsonObject members && value is JsonObject others:
                foreach (var (member, schema) in others)
                {
                    members[member] = members.TryGetPropertyValue(member, out var own) ? AllOf(own, schema) : schema?.DeepClone();
                }
                return true;
            case Additional or "items":
                result[name] = AllOf(known, value);
                return true;
            case "minimum" or "exclusiveMinimum" or "minLength" or "minItems" or "minProperties" when Number(known) is { } low && Number(value) is { } otherLow:
                result[name] = (low >= otherLow ? known : value)!.DeepClone();
                return true;
            case "maximum" or "exclusiveMaximum" or "maxLength" or "maxItems" or "maxProperties" when Number(known) is { } high && Number(value) is { } otherHigh:
                result[name] = (high <= otherHigh ? known : value)!.DeepClone();
                return true;
            case "anyOf" or "oneOf" when known is JsonArray ours && value is JsonArray theirs && ours.Count * theirs.Count <= MostAlternatives:
                result[name] = new JsonArray([.. ours.SelectMany(our => theirs.Select(their => AllOf(our, their)))]);
                return true;
            case "allOf" when known is JsonArray first && value is JsonArray second:
                result[name] = new JsonArray([.. first.Concat(second).Select(item => item?.DeepClone())]);
                return true;
            case "$ref":
                ((JsonArray)(result["allOf"] ??= new JsonArray())).Add(new JsonObject { ["$ref"] = value?.DeepClone() });
                return true;
            default:
                return !JsonSchemaKeywords.Restricts(name) || JsonNode.DeepEquals(known, value) ? true
                    : throw new JsonSchemaException(path, $"'{name}' stands in two schemas that both have to hold, which is not supported.");
        }
    }

    // Properties that only one schema names, as the other lets them be.
    private static JsonObject Narrowed(JsonObject schema, JsonObject by)
    {
        if (schema[Properties] is not JsonObject || !by.TryGetPropertyValue(Additional, out var additional) || IsTrue(additional))
        {
            return schema;
        }
        var result = (JsonObject)schema.DeepClone();
        var own = (JsonObject)result[Properties]!;
        foreach (string name in own.Select(property => property.Key).Where(name => by[Properties] is not JsonObject named || !named.ContainsKey(name)).ToArray())
        {
            own[name] = AllOf(own[name], additional);
        }
        return result;
    }

    private static JsonNode? AllOf(JsonNode? one, JsonNode? other) =>
        IsTrue(one) ? other?.DeepClone() : IsTrue(other) ? one?.DeepClone() : IsFalse(one) || IsFalse(other) ? JsonValue.Create(false) : new JsonObject { ["allOf"] = new JsonArray(one?.DeepClone(), other?.DeepClone()) };

    private static bool IsTrue(JsonNode? node) => node is JsonValue value && value.TryGetValue(out bool truth) && truth || node is JsonObject { Count: 0 };

    private static bool IsFalse(JsonNode? node) => node is JsonValue value && value.TryGetValue(out bool truth) && !truth;

    private static IEnumerable<string> Types(JsonNode? type) => type is JsonArray list ? list.Select(item => item!.GetValue<string>()) : [type!.GetValue<string>()];

    private static string? Narrower(string one, string other) => one == other ? one : (one, other) is ("integer", "number") or ("number", "integer") ? "integer" : null;

    private static double? Number(JsonNode? node) => node is JsonValue value && value.TryGetValue(out double number) ? number : null;
}
