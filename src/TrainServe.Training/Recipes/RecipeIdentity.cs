using System.Collections;
using System.Globalization;
using System.Reflection;
using System.Text;
using System.Text.Json.Nodes;
using TrainServe.Core.IO;
using TrainServe.Core.Packaging;

namespace TrainServe.Training.Recipes;

/// <summary>What of a recipe decides a run's numbers: its keys and values, less those that are <see cref="FreeOnResumeAttribute">free</see>.</summary>
/// <remarks>Defaults are written out, so that a changed default of a later build is seen as well.</remarks>
public static class RecipeIdentity
{
    /// <summary>Full keys and values, in the order of declaration. A section that is null has no keys.</summary>
    public static IReadOnlyDictionary<string, string> Of(IRecipeSection recipe)
    {
        var values = new OrderedDictionary<string, string>(StringComparer.Ordinal);
        Add(values, "", recipe);
        return values;
    }

    /// <summary>Hash of all of them.</summary>
    public static string Sha256(IReadOnlyDictionary<string, string> identity)
    {
        var json = new JsonObject();
        foreach (var (key, value) in identity)
        {
            json[key] = value;
        }
        return FileHash.OfBytes(Encoding.UTF8.GetBytes(json.ToJsonString(JsonFile.SnakeCaseLine)));
    }

    /// <summary>The first key that differs, with both values; null when none does.</summary>
    public static string? Difference(IReadOnlyDictionary<string, string> before, IReadOnlyDictionary<string, string> now)
    {
        foreach (string key in now.Keys.Union(before.Keys, StringComparer.Ordinal))
        {
            string? old = before.GetValueOrDefault(key), current = now.GetValueOrDefault(key);
            if (old != current)
            {
                return $"{key} was {old ?? "not set"} and is now {current ?? "not set"}";
            }
        }
        return null;
    }

    private static void Add(OrderedDictionary<string, string> values, string prefix, IRecipeSection section)
    {
        foreach (var (key, property) in RecipeBinder.KeysOf(section.GetType()))
        {
            if (property.GetCustomAttribute<FreeOnResumeAttribute>() is null)
            {
                AddValue(values, prefix + key, property.GetValue(section));
            }
        }
    }

    private static void AddValue(OrderedDictionary<string, string> values, string key, object? value)
    {
        switch (value)
        {
            case null:
                return;
            case IRecipeSection section:
                Add(values, key + ".", section);
                return;
            case string text:
                values[key] = text;
                return;
            case IEnumerable items:
                int index = 0;
                foreach (object? item in items)
                {
                    AddValue(values, string.Create(CultureInfo.InvariantCulture, $"{key}.{index++}"), item);
                }
                return;
            default:
                values[key] = Convert.ToString(value, CultureInfo.InvariantCulture) ?? "";
                return;
        }
    }
}
