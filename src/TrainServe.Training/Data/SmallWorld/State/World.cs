using TrainServe.Training.Data.SmallWorld.Words;

namespace TrainServe.Training.Data.SmallWorld.State;

/// <summary>Where a thing is: in exactly one hand or exactly one place.</summary>
internal readonly record struct Spot
{
    private Spot(Person? holder, Place? place) => (Holder, Place) = (holder, place);

    /// <summary>Who has it, or null where it lies.</summary>
    public Person? Holder { get; }

    /// <summary>Where it lies, or null where somebody has it.</summary>
    public Place? Place { get; }

    public static Spot In(Place place) => new(null, place);

    public static Spot With(Person holder) => new(holder, null);
}

/// <summary>What is so after some events. What no event has told is unknown; what one has told, no later one may contradict.</summary>
internal sealed class World
{
    private readonly Dictionary<Person, Place> _places = [];
    private readonly Dictionary<Thing, Spot> _spots = [];
    private readonly Dictionary<Person, Thing> _wishes = [];
    private readonly Dictionary<Person, Felt> _feelings = [];
    private readonly Dictionary<Person, Owned> _counts = [];

    public IReadOnlyDictionary<Person, Place> Places => _places;
    public IReadOnlyDictionary<Thing, Spot> Spots => _spots;
    public IReadOnlyDictionary<Person, Thing> Wishes => _wishes;
    public IReadOnlyDictionary<Person, Felt> Feelings => _feelings;
    public IReadOnlyDictionary<Person, Owned> Counts => _counts;

    public static World After(IEnumerable<Event> events)
    {
        var world = new World();
        foreach (var item in events)
        {
            world.Apply(item);
        }
        return world;
    }

    public IEnumerable<Thing> HeldBy(Person person) => _spots.Where(pair => pair.Value.Holder == person).Select(pair => pair.Key);

    public IEnumerable<Person> PeopleIn(Place place) => _places.Where(pair => pair.Value == place).Select(pair => pair.Key);

    /// <summary>The place of a thing, in a hand or not; null where it cannot be known.</summary>
    public Place? PlaceOf(Thing thing) =>
        !_spots.TryGetValue(thing, out var spot) ? null : spot.Holder is { } holder ? _places.GetValueOrDefault(holder) : spot.Place;

    /// <exception cref="InvalidOperationException">The event contradicts what is so.</exception>
    public void Apply(Event item)
    {
        switch (item)
        {
            case WasIn was:
                Require(_places.TryAdd(was.Person, was.Place), item);
                break;
            case Went went:
                Require(_places.GetValueOrDefault(went.Person) != went.Place, item);
                _places[went.Person] = went.Place;
                break;
            case Lay lay:
                Require(_spots.TryAdd(lay.Thing, Spot.In(lay.Place)), item);
                break;
            case Had had:
                Require(_spots.TryAdd(had.Thing, Spot.With(had.Person)), item);
                break;
            case Took took:
                Require(!_spots.TryGetValue(took.Thing, out var spot) || (spot.Place is { } there && IsIn(took.Person, there)), item);
                _spots[took.Thing] = Spot.With(took.Person);
                break;
            case Left left:
                Require(IsIn(left.Person, left.Place) && HasOrUnknown(left.Person, left.Thing), item);
                _spots[left.Thing] = Spot.In(left.Place);
                break;
            case Gave gave:
                Pass(gave.Giver, gave.Receiver, gave.Thing, item);
                break;
            case Snatched snatched:
                Pass(snatched.Owner, snatched.Taker, snatched.Thing, item);
                break;
            case Wanted wanted:
                Require(_spots.GetValueOrDefault(wanted.Thing).Holder != wanted.Person && _wishes.TryAdd(wanted.Person, wanted.Thing), item);
                break;
            case Felt felt:
                Require(_feelings.TryAdd(felt.Person, felt), item);
                break;
            case Owned owned:
                Require(owned.Number is > 1 and <= NumberWords.Largest && _counts.TryAdd(owned.Person, owned), item);
                break;
            case Saw or Did:
                break;
            default:
                throw new NotSupportedException($"A world cannot hold {item}.");
        }
    }

    // Hands meet only in one place.
    private void Pass(Person from, Person to, Thing thing, Event item)
    {
        Require(from != to && HasOrUnknown(from, thing), item);
        Require(!_places.TryGetValue(from, out var place) || IsIn(to, place), item);
        _spots[thing] = Spot.With(to);
    }

    private bool HasOrUnknown(Person person, Thing thing) => !_spots.TryGetValue(thing, out var spot) || spot.Holder == person;

    private bool IsIn(Person person, Place place) => !_places.TryGetValue(person, out var known) || known == place;

    private static void Require(bool holds, Event item)
    {
        if (!holds)
        {
            throw new InvalidOperationException($"The world contradicts {item}.");
        }
    }
}
