using TrainServe.Training.Data.SmallWorld.Words;

namespace TrainServe.Training.Data.SmallWorld.State;

/// <summary>One step of a story: what one sentence tells.</summary>
internal abstract record Event
{
    /// <summary>What may be said; the first is the plain one. All begin with a capital and end in a full stop.</summary>
    public abstract IReadOnlyList<string> Sentences { get; }

    /// <summary>People, places and so on in the order in which the sentence names them, as answers name them.</summary>
    public abstract IReadOnlyList<Mention> Mentions { get; }

    /// <summary>The words that the sentence joins: a split tells only pairs of its own.</summary>
    public abstract IReadOnlyList<(string One, string Other)> Facts { get; }
}

/// <summary>What kind of thing answers a question.</summary>
internal enum AnswerKind
{
    Person,
    Place,
    Thing,
    Mood,
    Number,
    Deed,

    /// <summary>A question back that names two possibilities.</summary>
    Choice,

    /// <summary>A sentence of its own, where no story answers.</summary>
    Sentence,
}

/// <summary>Something that a sentence names and that could answer a question.</summary>
internal readonly record struct Mention(AnswerKind Kind, string Text)
{
    public static Mention Of(Person person) => new(AnswerKind.Person, person.Name);

    public static Mention Of(Place place) => new(AnswerKind.Place, place.ToString());

    public static Mention Of(Thing thing) => new(AnswerKind.Thing, thing.ToString());
}

/// <summary>Somebody is somewhere when the story begins.</summary>
internal sealed record WasIn(Person Person, Place Place) : Event
{
    public override IReadOnlyList<string> Sentences => [$"{Person} was in {Place}.", $"{Person} sat in {Place}.", $"{Person} waited in {Place}."];
    public override IReadOnlyList<Mention> Mentions => [Mention.Of(Person), Mention.Of(Place)];
    public override IReadOnlyList<(string One, string Other)> Facts => [(Person.Name, Place.Noun)];
}

/// <summary>Somebody goes elsewhere.</summary>
internal sealed record Went(Person Person, Place Place) : Event
{
    public override IReadOnlyList<string> Sentences => [$"{Person} went to {Place}.", $"{Person} walked to {Place}.", $"{Person} ran to {Place}.", $"Then {Person} went to {Place}."];
    public override IReadOnlyList<Mention> Mentions => [Mention.Of(Person), Mention.Of(Place)];
    public override IReadOnlyList<(string One, string Other)> Facts => [(Person.Name, Place.Noun)];
}

/// <summary>A thing lies somewhere.</summary>
internal sealed record Lay(Thing Thing, Place Place) : Event
{
    public override IReadOnlyList<string> Sentences => [$"{Vocabulary.Capital(Thing.ToString())} was in {Place}.", $"{Vocabulary.Capital(Thing.ToString())} lay in {Place}."];
    public override IReadOnlyList<Mention> Mentions => [Mention.Of(Thing), Mention.Of(Place)];
    public override IReadOnlyList<(string One, string Other)> Facts => [(Thing.Noun, Place.Noun)];
}

/// <summary>Somebody has a thing when the story begins.</summary>
internal sealed record Had(Person Person, Thing Thing) : Event
{
    public override IReadOnlyList<string> Sentences => [$"{Person} had {Thing}.", $"{Person} held {Thing}.", $"{Person} carried {Thing}."];
    public override IReadOnlyList<Mention> Mentions => [Mention.Of(Person), Mention.Of(Thing)];
    public override IReadOnlyList<(string One, string Other)> Facts => [(Person.Name, Thing.Noun)];
}

/// <summary>Somebody gives away what they have.</summary>
internal sealed record Gave(Person Giver, Person Receiver, Thing Thing) : Event
{
    public override IReadOnlyList<string> Sentences => [$"{Giver} gave {Thing} to {Receiver}.", $"{Giver} handed {Thing} to {Receiver}.", $"Then {Giver} gave {Thing} to {Receiver}."];
    public override IReadOnlyList<Mention> Mentions => [Mention.Of(Giver), Mention.Of(Thing), Mention.Of(Receiver)];
    public override IReadOnlyList<(string One, string Other)> Facts => [(Receiver.Name, Thing.Noun), (Giver.Name, Receiver.Name)];
}

/// <summary>Somebody wants a thing.</summary>
internal sealed record Wanted(Person Person, Thing Thing) : Event
{
    public override IReadOnlyList<string> Sentences => [$"{Person} wanted {Thing}.", $"{Person} asked for {Thing}."];
    public override IReadOnlyList<Mention> Mentions => [Mention.Of(Person), Mention.Of(Thing)];
    public override IReadOnlyList<(string One, string Other)> Facts => [(Person.Name, Thing.Noun)];
}

/// <summary>Somebody does something with a thing, which is nobody's and nowhere in particular.</summary>
internal sealed record Did(Person Person, string Verb, Thing Thing) : Event
{
    public string Predicate => $"{Verb} {Thing}";

    public override IReadOnlyList<string> Sentences => [$"{Person} {Predicate}."];
    public override IReadOnlyList<Mention> Mentions => [Mention.Of(Person), new(AnswerKind.Deed, Predicate), Mention.Of(Thing)];
    public override IReadOnlyList<(string One, string Other)> Facts => [(Person.Name, Thing.Noun)];
}

/// <summary>Somebody feels something because of what they did.</summary>
internal sealed record Felt(Person Person, string Mood) : Event
{
    public override IReadOnlyList<string> Sentences => [$"{Person} was {Mood}.", $"{Person} felt {Mood}."];
    public override IReadOnlyList<Mention> Mentions => [Mention.Of(Person), new(AnswerKind.Mood, Mood)];
    public override IReadOnlyList<(string One, string Other)> Facts => [(Person.Name, Mood)];
}

/// <summary>Somebody has several things of one kind.</summary>
internal sealed record Owned(Person Person, int Number, Thing Kind) : Event
{
    public override IReadOnlyList<string> Sentences => [$"{Person} had {Vocabulary.Numbers[Number]} {Kind.Plural}."];
    public override IReadOnlyList<Mention> Mentions => [Mention.Of(Person), new(AnswerKind.Number, Vocabulary.Numbers[Number])];
    public override IReadOnlyList<(string One, string Other)> Facts => [(Person.Name, Vocabulary.Numbers[Number])];
}
