namespace TrainServe.Training.Data.SmallWorld.Words;

/// <summary>Somebody in a world.</summary>
internal sealed record Person(string Name, bool IsGirl)
{
    public string Subject => IsGirl ? "she" : "he";

    public override string ToString() => Name;
}

/// <summary>The forty names. No name is the beginning of another one, so that a text names whom it means.</summary>
internal static class People
{
    public static IReadOnlyList<Person> All { get; } =
    [
        .. "Mia Anna Lily Emma Zoe Ella Ruby Nora Clara Lucy Sara Kate Rosa Tina Jane Amy Eva Ida Vera Molly".Split(' ').Select(name => new Person(name, IsGirl: true)),
        .. "Tom Ben Max Sam Leo Jack Finn Noah Paul Tim Hugo Carl Otto Dan Luke Peter Adam Kurt Nick Fred".Split(' ').Select(name => new Person(name, IsGirl: false)),
    ];
}
