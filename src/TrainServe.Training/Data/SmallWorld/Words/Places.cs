namespace TrainServe.Training.Data.SmallWorld.Words;

/// <summary>Somewhere to be, such as the old barn; one is always in it.</summary>
internal sealed record Place(string Adjective, string Noun)
{
    public string Text => $"the {Adjective} {Noun}";

    public override string ToString() => Text;
}

/// <summary>Adjectives and nouns.</summary>
internal static class Places
{
    private static readonly string[] Adjectives = "old new big small quiet sunny dark cold".Split(' ');
    private static readonly string[] Nouns = "barn garden kitchen park school shop library forest cave tent tower museum".Split(' ');

    private static readonly IReadOnlyList<Place>[] BySplit = Splits.Divide(
        from noun in Enumerable.Range(0, Nouns.Length)
        from adjective in Enumerable.Range(0, Adjectives.Length)
        select (new Place(Adjectives[adjective], Nouns[noun]), ((adjective + (3 * noun)) % 8) switch
        {
            0 => WorldSplit.Test,
            4 => WorldSplit.Validation,
            _ => WorldSplit.Train,
        }));

    /// <summary>A split's places: no other split has any of them, yet each noun and each adjective is in all splits.</summary>
    public static IReadOnlyList<Place> Of(WorldSplit split) => BySplit[(int)split];
}
