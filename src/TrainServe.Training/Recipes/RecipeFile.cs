using System.Globalization;
using TrainServe.Core;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace TrainServe.Training.Recipes;

/// <summary>Reads a recipe: YAML of sections and keys, of which <c>--set key=value</c> replaces any.</summary>
public static class RecipeFile
{
    /// <summary>Reads and checks a recipe.</summary>
    /// <param name="path">The YAML file.</param>
    /// <param name="overrides">Each <c>section.key=value</c>; an item of a list by its number, from 0.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="RecipeException">A key is unknown or a value breaks its rule; the message names file, line and key.</exception>
    public static T Read<T>(string path, IEnumerable<string>? overrides = null)
        where T : IRecipeSection
    {
        if (!File.Exists(path))
        {
            throw new FileNotFoundException($"{path} does not exist.", path);
        }
        return Parse<T>(File.ReadAllText(path), path, overrides);
    }

    /// <inheritdoc cref="Read"/>
    /// <param name="yaml">The recipe's text.</param>
    /// <param name="source">What to name in messages.</param>
    /// <param name="overrides">Each <c>section.key=value</c>.</param>
    public static T Parse<T>(string yaml, string source, IEnumerable<string>? overrides = null)
        where T : IRecipeSection
    {
        var root = Tree(yaml, source);
        foreach (string item in overrides ?? [])
        {
            Override(root, item);
        }
        return (T)RecipeBinder.Bind(typeof(T), root, "");
    }

    private static RecipeMap Tree(string yaml, string source)
    {
        var stream = new YamlStream();
        try
        {
            using var reader = new StringReader(yaml);
            stream.Load(reader);
        }
        catch (YamlException error)
        {
            throw new RecipeException($"{source}:{error.Start.Line}: the recipe is not valid YAML: {error.Message.TrimEnd('.')}.", error);
        }
        if (stream.Documents.Count == 0)
        {
            return new RecipeMap(source, new(StringComparer.Ordinal));
        }
        return Convert(stream.Documents[0].RootNode, source, depth: 0) as RecipeMap
            ?? throw new RecipeException($"{source}:1: a recipe is a list of keys and values.");
    }

    private static RecipeNode Convert(YamlNode node, string source, int depth)
    {
        string place = string.Create(CultureInfo.InvariantCulture, $"{source}:{node.Start.Line}");
        if (depth > 16)
        {
            throw new RecipeException($"{place}: the recipe is nested too deeply.");
        }
        switch (node)
        {
            case YamlScalarNode scalar:
                bool isNull = scalar.Style == ScalarStyle.Plain && scalar.Value is null or "" or "~" or "null";
                return new RecipeScalar(place, isNull ? null : scalar.Value);
            case YamlSequenceNode sequence:
                return new RecipeList(place, [.. sequence.Children.Select(child => Convert(child, source, depth + 1))]);
            case YamlMappingNode mapping:
                var entries = new Dictionary<string, RecipeNode>(StringComparer.Ordinal);
                foreach (var (key, value) in mapping.Children)
                {
                    string name = (key as YamlScalarNode)?.Value ?? throw new RecipeException($"{source}:{key.Start.Line}: a key must be a word.");
                    var child = Convert(value, source, depth + 1);
                    entries[name] = child with { Place = string.Create(CultureInfo.InvariantCulture, $"{source}:{key.Start.Line}") };
                }
                return new RecipeMap(place, entries);
            default:
                throw new RecipeException($"{place}: the recipe holds something that is no key, value or list.");
        }
    }

    private static void Override(RecipeMap root, string item)
    {
        string place = $"--set {item}";
        int equals = item.IndexOf('=', StringComparison.Ordinal);
        if (equals <= 0)
        {
            throw new RecipeException($"{place}: write it as section.key=value.");
        }
        var keys = item[..equals].Split('.');
        // A value is read as YAML, so that it can also be a list or null.
        var value = Tree($"value: {item[(equals + 1)..]}", place)["value"]! with { Place = place };
        RecipeNode at = root;
        for (int i = 0; i < keys.Length; i++)
        {
            bool isLast = i == keys.Length - 1;
            if (at is RecipeList list)
            {
                if (!int.TryParse(keys[i], NumberStyles.None, CultureInfo.InvariantCulture, out int index) || index >= list.Items.Count)
                {
                    throw new RecipeException($"{place}: {keys[i]} is not the number of one of the {list.Items.Count} items of {string.Join('.', keys[..i])}, counted from 0.");
                }
                at = isLast ? list.Items[index] = value : list.Items[index];
                continue;
            }
            if (at is not RecipeMap map)
            {
                throw new RecipeException($"{place}: {string.Join('.', keys[..i])} is a value and has no keys.");
            }
            if (isLast)
            {
                map.Entries[keys[i]] = value;
            }
            else if (map[keys[i]] is not (RecipeMap or RecipeList))
            {
                map.Entries[keys[i]] = new RecipeMap(place, new(StringComparer.Ordinal));
            }
            at = map.Entries[keys[i]];
        }
    }
}
