using TrainServe.Training.Data.SmallWorld.Questions;
using TrainServe.Training.Data.SmallWorld.Words;

namespace TrainServe.Training.Data.SmallWorld.State;

/// <summary>One step of a story: what one sentence tells.</summary>
internal abstract record Event
{
    /// <summary>Whether it happens, rather than tells how things are; only these take words like "then".</summary>
    public virtual bool Happens => true;

    /// <summary>Who does it, or is told about.</summary>
    public abstract Person? Actor { get; }

    /// <summary>People, places, things and so on, in the order in which the sentence names them.</summary>
    public abstract IEnumerable<Mention> Mentions { get; }

    protected static Mention Of(Person person) => new(AnswerKind.Person, person.Name);

    protected static Mention Of(Place place) => new(AnswerKind.Place, place.Text);

    protected static Mention Of(Thing thing) => new(AnswerKind.Thing, thing.Text);
}

/// <summary>Something that a sentence names and that a question could have as its answer.</summary>
internal readonly record struct Mention(AnswerKind Kind, string Text);

/// <summary>Somebody is somewhere when the story begins.</summary>
internal sealed record WasIn(Person Person, Place Place) : Event
{
    public override bool Happens => false;
    public override Person Actor => Person;
    public override IEnumerable<Mention> Mentions => [Of(Person), Of(Place)];
}

internal sealed record Went(Person Person, Place Place) : Event
{
    public override Person Actor => Person;
    public override IEnumerable<Mention> Mentions => [Of(Person), Of(Place)];
}

/// <summary>A thing lies somewhere when the story begins.</summary>
internal sealed record Lay(Thing Thing, Place Place) : Event
{
    public override bool Happens => false;
    public override Person? Actor => null;
    public override IEnumerable<Mention> Mentions => [Of(Thing), Of(Place)];
}

/// <summary>Somebody has a thing when the story begins.</summary>
internal sealed record Had(Person Person, Thing Thing) : Event
{
    public override bool Happens => false;
    public override Person Actor => Person;
    public override IEnumerable<Mention> Mentions => [Of(Person), Of(Thing)];
}

/// <summary>Picks up a thing that lies where the person is.</summary>
internal sealed record Took(Person Person, Thing Thing) : Event
{
    public override Person Actor => Person;
    public override IEnumerable<Mention> Mentions => [Of(Person), Of(Thing)];
}

/// <summary>Lays down a thing where the person is.</summary>
internal sealed record Left(Person Person, Thing Thing, Place Place) : Event
{
    public override Person Actor => Person;
    public override IEnumerable<Mention> Mentions => [Of(Person), Of(Thing), Of(Place)];
}

internal sealed record Gave(Person Giver, Person Receiver, Thing Thing) : Event
{
    public override Person Actor => Giver;
    public override IEnumerable<Mention> Mentions => [Of(Giver), Of(Thing), Of(Receiver)];
}

/// <summary>Takes a thing out of somebody's hands.</summary>
internal sealed record Snatched(Person Taker, Person Owner, Thing Thing) : Event
{
    public override Person Actor => Taker;
    public override IEnumerable<Mention> Mentions => [Of(Taker), Of(Thing), Of(Owner)];
}

internal sealed record Wanted(Person Person, Thing Thing) : Event
{
    public override bool Happens => false;
    public override Person Actor => Person;
    public override IEnumerable<Mention> Mentions => [Of(Person), Of(Thing)];
}

/// <param name="Person">Who feels.</param>
/// <param name="Mood">How.</param>
/// <param name="Cause">An earlier event of the story, or null where it tells none.</param>
internal sealed record Felt(Person Person, string Mood, Event? Cause) : Event
{
    public override bool Happens => false;
    public override Person Actor => Person;
    public override IEnumerable<Mention> Mentions => [Of(Person), new(AnswerKind.Feeling, Mood)];
}

/// <param name="Person">Who sees.</param>
/// <param name="Animal">With its article.</param>
internal sealed record Saw(Person Person, string Animal) : Event
{
    public override Person Actor => Person;
    public override IEnumerable<Mention> Mentions => [Of(Person)];
}

/// <summary>Does something with a thing, which stays where it is.</summary>
/// <param name="Person">Who.</param>
/// <param name="Verb">In the past.</param>
/// <param name="Thing">With what.</param>
internal sealed record Did(Person Person, string Verb, Thing Thing) : Event
{
    public override Person Actor => Person;
    public override IEnumerable<Mention> Mentions => [Of(Person), Of(Thing)];
}

/// <summary>Somebody has several things of one kind.</summary>
internal sealed record Owned(Person Person, int Number, Thing Kind) : Event
{
    public override bool Happens => false;
    public override Person Actor => Person;
    public override IEnumerable<Mention> Mentions => [Of(Person), new(AnswerKind.Number, NumberWords.Of(Number))];
}
