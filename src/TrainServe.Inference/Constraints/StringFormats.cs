namespace TrainServe.Inference.Constraints;

/// <summary>The formats of strings that JSON Schema names, as patterns. They let through less than the standards where those are intricate, never more than has the form.</summary>
internal static class StringFormats
{
    private const string Days = "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))", Date = "[12][0-9]{3}-" + Days,
        Time = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])",
        Byte = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])", Label = "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?",
        Segment = "[A-Za-z0-9._~:@!$&'()*+,;=-]*", Further = "(\\?[A-Za-z0-9._~:/@!$&'()*+,;=?%-]*)?(#[A-Za-z0-9._~:/@!$&'()*+,;=?-]*)?",
        Uri = $"[A-Za-z][A-Za-z0-9+.-]{{0,15}}:(//[A-Za-z0-9._~:@-]{{0,60}})?{Segment}(/{Segment})*{Further}",
        // In a relative one a colon of the first segment would make it a scheme.
        Relative = $"(//[A-Za-z0-9._~:@-]{{1,60}}|[A-Za-z0-9._~@!$&'()*+,;=-]*)(/{Segment})*{Further}";

    private static readonly Dictionary<string, string> Patterns = new(StringComparer.Ordinal)
    {
        ["date"] = $"^{Date}$",
        ["time"] = $"^{Time}$",
        ["date-time"] = $"^{Date}T{Time}$",
        ["uuid"] = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        ["ipv4"] = $"^{Byte}\\.{Byte}\\.{Byte}\\.{Byte}$",
        ["hostname"] = $"^{Label}(\\.{Label}){{1,3}}$",
        ["email"] = $"^[A-Za-z0-9]([A-Za-z0-9._-]{{0,30}}[A-Za-z0-9])?@{Label}(\\.{Label}){{1,3}}$",
        ["ipv6"] = "^([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}$",
        ["uri"] = $"^{Uri}$",
        ["uri-reference"] = $"^({Uri}|{Relative})$",
        ["duration"] = "^P([0-9]{1,3}D|[0-9]{1,3}W|T[0-9]{1,3}H|T[0-9]{1,3}M|T[0-9]{1,3}S)$",
    };

    // Those of the standard that are not made here.
    private static readonly HashSet<string> Others = new(StringComparer.Ordinal) { "idn-email", "idn-hostname", "iri", "iri-reference", "uri-template", "json-pointer", "relative-json-pointer", "regex" };

    /// <summary>Whether the standard knows it; any other format restricts nothing.</summary>
    public static bool IsKnown(string format) => Patterns.ContainsKey(format) || Others.Contains(format);

    public static IEnumerable<string> Names => Patterns.Keys;

    public static string? Pattern(string format) => Patterns.GetValueOrDefault(format);
}
