namespace TrainServe.Training.Data.SmallWorld.Words;

/// <summary>A thing that can lie somewhere or be in a hand, such as the red ball. A world has only one of a color and noun.</summary>
internal sealed record Thing(string Color, string Noun)
{
    /// <summary>With its article: "the red ball".</summary>
    public string Text => $"the {Color} {Noun}";

    /// <summary>Without: "red ball".</summary>
    public string Bare => $"{Color} {Noun}";

    public string Plural => $"{Color} {Noun}s";

    public override string ToString() => Text;
}

/// <summary>Colors and nouns. Every plural takes an s.</summary>
internal static class Things
{
    private static readonly string[] Colors = "red blue green yellow black white brown pink gray purple orange golden".Split(' ');

    private static readonly string[] Nouns =
        ("ball kite cup hat book drum doll boat bell coat car lamp " +
         "key ring shoe spoon basket bottle pencil stone ribbon umbrella egg blanket").Split(' ');

    /// <summary>Of a noun's twelve colors two are kept for testing and two for validation; which, moves on by five from noun to noun.</summary>
    private static readonly IReadOnlyList<Thing>[] BySplit = Splits.Divide(
        from noun in Enumerable.Range(0, Nouns.Length)
        from color in Enumerable.Range(0, Colors.Length)
        select (new Thing(Colors[color], Nouns[noun]), ((color + (5 * noun)) % 12) switch
        {
            0 or 1 => WorldSplit.Test,
            6 or 7 => WorldSplit.Validation,
            _ => WorldSplit.Train,
        }));

    /// <summary>A split's things: no other split has any of them, yet each color and each noun is in all splits.</summary>
    public static IReadOnlyList<Thing> Of(WorldSplit split) => BySplit[(int)split];
}
