using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text.Json;
using TrainServe.Core;

namespace TrainServe.Training.Recipes;

/// <summary>Fills immutable records from a recipe's tree; a key that the record lacks is refused.</summary>
internal static class RecipeBinder
{
    /// <param name="type">A record that implements <see cref="IRecipeSection"/>.</param>
    /// <param name="map">What was written.</param>
    /// <param name="prefix">The keys above with a dot after each, for messages.</param>
    /// <param name="defaults">Whose values stand for the keys that are not written; null for the type's own. It is changed and given back.</param>
    public static object Bind(Type type, RecipeMap map, string prefix, object? defaults = null)
    {
        var properties = KeysOf(type);
        foreach (var (key, node) in map.Entries)
        {
            if (!properties.ContainsKey(key))
            {
                throw new RecipeException($"{node.Place}: {prefix}{key} is not a key of a recipe; {Advice(key, properties.Keys)}");
            }
        }
        return Fill(defaults ?? Activator.CreateInstance(type)!, properties, map, prefix);
    }

    private static object Fill(object section, Dictionary<string, PropertyInfo> properties, RecipeMap map, string prefix)
    {
        foreach (var (key, property) in properties)
        {
            if (map[key] is { } node)
            {
                property.SetValue(section, Value(property.PropertyType, IsNullable(property), node, prefix + key, property.GetValue(section)));
            }
            else if (property.GetCustomAttribute<RequiredMemberAttribute>() is not null)
            {
                throw new RecipeException($"{map.Place}: {prefix}{key} is missing.");
            }
        }
        ((IRecipeSection)section).Check(new RecipeRules(prefix, map));
        return section;
    }

    /// <summary>A section's keys in the order of their declaration.</summary>
    public static Dictionary<string, PropertyInfo> KeysOf(Type type) => type.GetProperties(BindingFlags.Public | BindingFlags.Instance)
        .Where(property => property.SetMethod is { IsPublic: true })
        .ToDictionary(property => JsonNamingPolicy.SnakeCaseLower.ConvertName(property.Name), StringComparer.Ordinal);

    private static bool IsNullable(PropertyInfo property) =>
        Nullable.GetUnderlyingType(property.PropertyType) is not null || new NullabilityInfoContext().Create(property).WriteState == NullabilityState.Nullable;

    private static object? Value(Type type, bool isNullable, RecipeNode node, string key, object? defaults = null)
    {
        if (node is RecipeScalar { Text: null })
        {
            return isNullable ? null : throw new RecipeException($"{node.Place}: {key} has no value.");
        }
        type = Nullable.GetUnderlyingType(type) ?? type;
        if (typeof(IRecipeSection).IsAssignableFrom(type))
        {
            return node is RecipeMap map ? Bind(type, map, key + ".", defaults) : throw new RecipeException($"{node.Place}: {key} must be a section with keys of its own.");
        }
        if (type.IsGenericType && type.GetGenericTypeDefinition() == typeof(IReadOnlyList<>))
        {
            var itemType = type.GetGenericArguments()[0];
            var items = node is RecipeList list ? list.Items : throw new RecipeException($"{node.Place}: {key} must be a list.");
            var array = Array.CreateInstance(itemType, items.Count);
            for (int i = 0; i < items.Count; i++)
            {
                array.SetValue(Value(itemType, isNullable: false, items[i], string.Create(CultureInfo.InvariantCulture, $"{key}.{i}")), i);
            }
            return array;
        }
        return node is RecipeScalar scalar ? Scalar(type, scalar, key) : throw new RecipeException($"{node.Place}: {key} must be one value.");
    }

    private static object Scalar(Type type, RecipeScalar scalar, string key)
    {
        string text = scalar.Text!;
        if (type == typeof(string))
        {
            return text;
        }
        if (type == typeof(bool))
        {
            return text switch
            {
                "true" => true,
                "false" => false,
                _ => throw Refused("true or false"),
            };
        }
        if (type.IsEnum)
        {
            var names = Enum.GetNames(type).ToDictionary(JsonNamingPolicy.SnakeCaseLower.ConvertName, StringComparer.Ordinal);
            return names.TryGetValue(text, out string? name) ? Enum.Parse(type, name) : throw Refused(string.Join(", ", names.Keys));
        }
        const NumberStyles whole = NumberStyles.AllowLeadingSign;
        var culture = CultureInfo.InvariantCulture;
        // A whole number may be grouped as in 1_000_000.
        string digits = text.Replace("_", "", StringComparison.Ordinal);
        if (type == typeof(int))
        {
            return int.TryParse(digits, whole, culture, out int value) ? value : throw Refused("a whole number");
        }
        if (type == typeof(long))
        {
            return long.TryParse(digits, whole, culture, out long value) ? value : throw Refused("a whole number");
        }
        if (type == typeof(ulong))
        {
            return ulong.TryParse(digits, NumberStyles.None, culture, out ulong value) ? value : throw Refused("a whole number from 0");
        }
        if (type == typeof(double) || type == typeof(float))
        {
            return double.TryParse(text, NumberStyles.Float, culture, out double value)
                ? type == typeof(double) ? value : (object)(float)value
                : throw Refused("a number");
        }
        throw new NotSupportedException($"A recipe cannot hold a {type.Name}, as {key} is.");

        RecipeException Refused(string expected) => new($"{scalar.Place}: {key} is '{text}'; it must be {expected}.");
    }

    private static string Advice(string key, IEnumerable<string> known)
    {
        var (nearest, distance) = known.Select(candidate => (candidate, EditDistance(key, candidate))).MinBy(pair => pair.Item2);
        return distance <= Math.Max(2, key.Length / 3) ? $"did you mean {nearest}?" : $"its keys are {string.Join(", ", known)}.";
    }

    // Levenshtein's distance, one row of the table at a time.
    private static int EditDistance(string one, string other)
    {
        var row = Enumerable.Range(0, other.Length + 1).ToArray();
        for (int i = 1; i <= one.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= other.Length; j++)
            {
                int above = row[j];
                row[j] = Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + (one[i - 1] == other[j - 1] ? 0 : 1));
                diagonal = above;
            }
        }
        return row[^1];
    }
}
