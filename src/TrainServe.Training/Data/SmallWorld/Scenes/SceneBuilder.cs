using TrainServe.Core.Random;
using TrainServe.Training.Data.SmallWorld.State;
using TrainServe.Training.Data.SmallWorld.Words;

namespace TrainServe.Training.Data.SmallWorld.Scenes;

/// <summary>What happens in a world, before it is put into words.</summary>
/// <param name="Events">In their order.</param>
/// <param name="Crowded">See <see cref="Tale.Crowded"/>.</param>
internal sealed record Scene(IReadOnlyList<Event> Events, Place? Crowded);

/// <summary>Draws people, things and places that a world does not have yet, and collects its events.</summary>
/// <param name="random">Draws.</param>
/// <param name="split">Whose things and places are drawn.</param>
internal sealed class SceneBuilder(PhiloxRandom random, WorldSplit split)
{
    private readonly List<Event> _beginning = [];
    private readonly List<Event> _rest = [];
    private readonly HashSet<string> _used = new(StringComparer.Ordinal);

    public PhiloxRandom Random => random;

    /// <summary>The world so far.</summary>
    public World World { get; } = new();

    public Place? Crowded { get; set; }

    /// <summary>New people, in no order of girls and boys.</summary>
    /// <param name="count">How many.</param>
    /// <param name="girls">How many of them are girls; null for chance.</param>
    public Person[] NewPeople(int count, int? girls = null)
    {
        var candidates = random.Shuffled(People.All);
        return girls is not { } wanted
            ? candidates[..count]
            : random.Shuffled(candidates.Where(person => person.IsGirl).Take(wanted).Concat(candidates.Where(person => !person.IsGirl).Take(count - wanted)));
    }

    /// <summary>New things of which no two share a noun or a color, so that each word names one of them.</summary>
    public Thing[] NewThings(int count) => [.. Enumerable.Range(0, count).Select(_ => Draw(Things.Of(split), thing => [thing.Noun, thing.Color]))];

    /// <summary>Another thing of the same noun.</summary>
    public Thing NewTwin(Thing thing)
    {
        var twin = random.Pick([.. Things.Of(split).Where(other => other.Noun == thing.Noun && other != thing)]);
        _used.Add(twin.Color);
        return twin;
    }

    public Place[] NewPlaces(int count) => [.. Enumerable.Range(0, count).Select(_ => Draw(Places.Of(split), place => [place.Noun, place.Adjective]))];

    /// <summary>How things are when the story begins; told in any order.</summary>
    public void Begin(Event item)
    {
        World.Apply(item);
        _beginning.Add(item);
    }

    /// <summary>What comes next.</summary>
    public void Then(Event item)
    {
        World.Apply(item);
        _rest.Add(item);
    }

    public Scene Build() => new([.. random.Shuffled(_beginning), .. _rest], Crowded);

    private T Draw<T>(IReadOnlyList<T> all, Func<T, string[]> words)
    {
        var free = all.Where(item => !words(item).Any(_used.Contains)).ToList();
        var drawn = random.Pick(free);
        _used.UnionWith(words(drawn));
        return drawn;
    }
}
