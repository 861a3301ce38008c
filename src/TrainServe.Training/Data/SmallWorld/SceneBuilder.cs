using TrainServe.Core.Random;
using TrainServe.Training.Data.SmallWorld.State;
using TrainServe.Training.Data.SmallWorld.Words;

namespace TrainServe.Training.Data.SmallWorld;

/// <summary>Draws people, things and places that a story does not have yet, and collects its events.</summary>
/// <param name="random">Draws.</param>
/// <param name="split">Whose facts are drawn.</param>
/// <param name="size">How many people or things the story is about.</param>
internal sealed class SceneBuilder(PhiloxRandom random, WorldSplit split, int size)
{
    private readonly List<Event> _beginning = [];
    private readonly List<Event> _rest = [];
    private readonly HashSet<object> _used = [];
    private bool _isImpossible;

    public PhiloxRandom Random => random;
    public int Size => size;

    /// <summary>Something of a list that was not drawn yet; when nothing suits, any is drawn and the scene comes to nothing.</summary>
    public T New<T>(IReadOnlyList<T> all, Func<T, bool> suits)
        where T : class
    {
        var free = all.Where(item => !_used.Contains(item)).ToList();
        var suiting = free.Where(suits).ToList();
        _isImpossible |= suiting.Count == 0;
        var drawn = random.Pick(suiting.Count > 0 ? suiting : free);
        _used.Add(drawn);
        return drawn;
    }

    public Person NewPerson() => New(Vocabulary.People, _ => true);

    public Place NewPlace(Func<Place, bool> suits) => New(Vocabulary.Places, suits);

    public Thing NewThing(Func<Thing, bool> suits) => New(Vocabulary.Things, suits);

    /// <summary>Whether the split may tell a fact that joins two words.</summary>
    public bool Owns(string one, string other) => split.Owns(one, other);

    /// <summary>How things are when the story begins; told in any order.</summary>
    public void Begin(Event item) => _beginning.Add(item);

    /// <summary>What comes next.</summary>
    public void Then(Event item) => _rest.Add(item);

    /// <summary>The events in words; null when the draws led to a fact that the split does not own.</summary>
    /// <param name="variety">The share of sentences that take another wording than the plain one.</param>
    public Tale? Build(double variety)
    {
        Event[] events = [.. random.Shuffled(_beginning), .. _rest];
        if (_isImpossible || events.SelectMany(item => item.Facts).Any(fact => !Owns(fact.One, fact.Other)))
        {
            return null;
        }
        return new Tale([.. events.Select(item => (item, random.Chance(variety) ? random.Pick(item.Sentences) : item.Sentences[0]))]);
    }
}
