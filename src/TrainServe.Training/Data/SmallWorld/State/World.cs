using TrainServe.Training.Data.SmallWorld.Words;

namespace TrainServe.Training.Data.SmallWorld.State;

/// <summary>What is so after some events. A thing is in one hand or one place; what one event has told, no later one contradicts.</summary>
internal sealed class World
{
    private readonly Dictionary<Person, List<Place>> _paths = [];
    private readonly Dictionary<Thing, Place> _lying = [];
    private readonly Dictionary<Thing, Person> _holders = [];
    private readonly Dictionary<Person, Thing> _wishes = [];
    private readonly Dictionary<Person, string> _moods = [];
    private readonly Dictionary<Person, Did> _deeds = [];
    private readonly Dictionary<Person, Owned> _counts = [];

    /// <summary>Where people were, one place after the other; they are in the last.</summary>
    public IReadOnlyDictionary<Person, List<Place>> Paths => _paths;
    public IReadOnlyDictionary<Thing, Place> Lying => _lying;
    public IReadOnlyDictionary<Thing, Person> Holders => _holders;
    public IReadOnlyDictionary<Person, Thing> Wishes => _wishes;
    public IReadOnlyDictionary<Person, string> Moods => _moods;
    public IReadOnlyDictionary<Person, Did> Deeds => _deeds;
    public IReadOnlyDictionary<Person, Owned> Counts => _counts;

    public IEnumerable<Person> PeopleIn(Place place) => _paths.Where(pair => pair.Value[^1] == place).Select(pair => pair.Key);

    public IEnumerable<Thing> HeldBy(Person person) => _holders.Where(pair => pair.Value == person).Select(pair => pair.Key);

    /// <exception cref="InvalidOperationException">The event contradicts what is so.</exception>
    public void Apply(Event item)
    {
        bool isConsistent = item switch
        {
            WasIn was => _paths.TryAdd(was.Person, [was.Place]),
            Went went => TryMove(went),
            Lay lay => !_holders.ContainsKey(lay.Thing) && _lying.TryAdd(lay.Thing, lay.Place),
            Had had => !_lying.ContainsKey(had.Thing) && _holders.TryAdd(had.Thing, had.Person),
            Gave gave => TryGive(gave),
            Wanted wanted => _holders.GetValueOrDefault(wanted.Thing) != wanted.Person && _wishes.TryAdd(wanted.Person, wanted.Thing),
            Did did => _deeds.TryAdd(did.Person, did),
            Felt felt => _moods.TryAdd(felt.Person, felt.Mood),
            Owned owned => _counts.TryAdd(owned.Person, owned),
            _ => throw new NotSupportedException($"A world cannot hold {item}."),
        };
        if (!isConsistent)
        {
            throw new InvalidOperationException($"The world contradicts {item}.");
        }
    }

    private bool TryMove(Went went)
    {
        if (!_paths.TryGetValue(went.Person, out var path) || path[^1] == went.Place)
        {
            return false;
        }
        path.Add(went.Place);
        return true;
    }

    private bool TryGive(Gave gave)
    {
        if (gave.Giver == gave.Receiver || _holders.GetValueOrDefault(gave.Thing) != gave.Giver)
        {
            return false;
        }
        _holders[gave.Thing] = gave.Receiver;
        return true;
    }
}
