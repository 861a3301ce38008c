namespace TrainServe.Training.Data.SmallWorld.Words;

/// <summary>The little grammar that the sentences need.</summary>
internal static class Grammar
{
    /// <summary>"a red ball", "an orange ball".</summary>
    public static string WithArticle(string noun) => (noun[0] is 'a' or 'e' or 'i' or 'o' or 'u' ? "an " : "a ") + noun;

    public static string Capital(string text) => char.ToUpperInvariant(text[0]) + text[1..];

    /// <summary>"x", "x and y", "x, y and z".</summary>
    public static string List(IReadOnlyList<string> items) => items.Count == 1 ? items[0] : $"{string.Join(", ", items.Take(items.Count - 1))} and {items[^1]}";

    /// <summary>A sentence without the mark at its end.</summary>
    public static string Open(string sentence) => sentence.TrimEnd('.', '?', '!');
}
