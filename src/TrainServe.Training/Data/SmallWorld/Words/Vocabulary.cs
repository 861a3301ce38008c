namespace TrainServe.Training.Data.SmallWorld.Words;

/// <summary>Somebody in a world.</summary>
internal sealed record Person(string Name, bool IsGirl)
{
    public string Subject => IsGirl ? "she" : "he";

    public override string ToString() => Name;
}

/// <summary>Somewhere to be; one is always in it.</summary>
internal sealed record Place(string Noun)
{
    /// <summary>"the barn"</summary>
    public override string ToString() => $"the {Noun}";
}

/// <summary>A thing that lies somewhere or is in a hand. Only things that share a noun in their story have a color.</summary>
internal sealed record Thing(string Noun, string? Color = null)
{
    public string Plural => $"{Noun}s";

    /// <summary>"the ball", "the red ball"</summary>
    public override string ToString() => Color is null ? $"the {Noun}" : $"the {Color} {Noun}";
}

/// <summary>The words of all worlds: few enough for a small tokenizer to have one token for each, and enough pairs of them that remembering which pairs occur is harder than looking back.</summary>
internal static class Vocabulary
{
    public static IReadOnlyList<Person> People { get; } =
    [
        .. ("Mia Anna Lily Emma Zoe Ella Ruby Nora Clara Lucy Sara Kate Rosa Tina Jane Amy " +
            "Eva Ida Vera Molly Alice Grace Ivy Olga Paula Wanda Hanna Greta Fiona Julia Laura Maria").Split(' ').Select(name => new Person(name, IsGirl: true)),
        .. ("Tom Ben Max Sam Leo Jack Finn Noah Paul Tim Hugo Carl Otto Dan Luke Peter " +
            "Adam Kurt Nick Fred Mark Erik Ivan Oscar Simon Victor Walter George Henry Bruno Felix Anton").Split(' ').Select(name => new Person(name, IsGirl: false)),
    ];

    public static IReadOnlyList<Place> Places { get; } =
        [.. ("barn garden kitchen park school shop library forest cave tent tower museum river market bakery castle " +
            "hall attic cellar office harbor station church stable meadow desert valley village theater hospital factory garage").Split(' ').Select(noun => new Place(noun))];

    /// <summary>Every plural takes an s.</summary>
    public static IReadOnlyList<Thing> Things { get; } =
        [.. ("ball kite cup hat book drum doll boat bell coat car lamp key ring shoe spoon basket bottle pencil stone " +
            "ribbon umbrella egg blanket hammer bucket candle mirror pillow rope carpet ladder clock flute guitar jacket kettle needle puzzle wagon").Split(' ').Select(noun => new Thing(noun))];

    public static IReadOnlyList<string> Colors { get; } = "red blue green yellow black white brown pink".Split(' ');

    public static IReadOnlyList<string> Moods { get; } = "happy sad scared tired proud angry bored calm shy hungry lonely brave thirsty sleepy worried cheerful".Split(' ');

    /// <summary>What people do with things, in the past.</summary>
    public static IReadOnlyList<string> Deeds { get; } = "lost found broke fixed painted washed dropped hid cleaned touched kicked lifted drew watched opened dried".Split(' ');

    /// <summary>Of 0 to 10.</summary>
    public static IReadOnlyList<string> Numbers { get; } = "zero one two three four five six seven eight nine ten".Split(' ');

    public static string Capital(string text) => char.ToUpperInvariant(text[0]) + text[1..];
}
