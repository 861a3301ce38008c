using System.Collections;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace TrainServe.Core.IO;

/// <summary>Finds nulls inside lists and dictionaries, which <see cref="JsonSerializerOptions.RespectNullableAnnotations"/> does not look into.</summary>
internal static class NullItems
{
    /// <summary>The path of the first, such as <c>$.files[0]</c>; null when there is none.</summary>
    public static string? Find(object value, JsonSerializerOptions options) => Find(value, options.GetTypeInfo(value.GetType()), "$");

    private static string? Find(object value, JsonTypeInfo type, string path)
    {
        switch (type.Kind)
        {
            case JsonTypeInfoKind.Object:
                return type.Properties.Where(property => property is { Get: not null, IsExtensionData: false })
                    .Select(property => Below(property.Get!(value), property.PropertyType, type.Options, $"{path}.{property.Name}")).FirstOrDefault(found => found is not null);
            case JsonTypeInfoKind.Enumerable when !type.ElementType!.IsValueType:
                return ((IEnumerable)value).Cast<object?>().Select((item, index) => Item(item, type, $"{path}[{index}]")).FirstOrDefault(found => found is not null);
            case JsonTypeInfoKind.Dictionary when !type.ElementType!.IsValueType && value is IDictionary entries:
                return entries.Keys.Cast<object>().Select(key => Item(entries[key], type, $"{path}.{key}")).FirstOrDefault(found => found is not null);
            default:
                return null;
        }
    }

    private static string? Item(object? value, JsonTypeInfo type, string path) => value is null ? path : Below(value, type.ElementType!, type.Options, path);

    private static string? Below(object? value, Type type, JsonSerializerOptions options, string path) => value is null ? null : Find(value, options.GetTypeInfo(type), path);
}
