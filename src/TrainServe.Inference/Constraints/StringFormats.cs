namespace TrainServe.Inference.Constraints;

/// <summary>The formats of strings that JSON Schema names, as patterns. They let through less than the standards where those are intricate, never more than has the form.</summary>
internal static class StringFormats
{
    private const string Date = "[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])", Time = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z",
        Byte = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])", Label = "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?";

    private static readonly Dictionary<string, string> Patterns = new(StringComparer.Ordinal)
    {
        ["date"] = $"^{Date}$",
        ["time"] = $"^{Time}$",
        ["date-time"] = $"^{Date}T{Time}$",
        ["uuid"] = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        ["ipv4"] = $"^{Byte}\\.{Byte}\\.{Byte}\\.{Byte}$",
        ["hostname"] = $"^{Label}(\\.{Label}){{1,3}}$",
        ["email"] = $"^[A-Za-z0-9]([A-Za-z0-9._-]{{0,30}}[A-Za-z0-9])?@{Label}(\\.{Label}){{1,3}}$",
        ["duration"] = "^P([0-9]{1,3}D|[0-9]{1,3}W|T[0-9]{1,3}H|T[0-9]{1,3}M|T[0-9]{1,3}S)$",
    };

    public static IEnumerable<string> Names => Patterns.Keys;

    public static string? Pattern(string format) => Patterns.GetValueOrDefault(format);
}
