using TrainServe.Training.Data.SmallWorld.State;

namespace TrainServe.Training.Data.SmallWorld.Words;

/// <summary>The sentences that tell an event; the first of them is the plain one.</summary>
internal static class SentenceFrames
{
    /// <summary>What people do with things, in the past.</summary>
    public static IReadOnlyList<string> Deeds { get; } = ["washed", "painted", "found", "hid", "touched", "cleaned", "lifted", "drew", "kicked", "watched"];

    /// <summary>Words before an event that happens after another one.</summary>
    public static IReadOnlyList<string> Links { get; } = ["Then ", "After that, ", "Later, ", "Next, "];

    /// <summary>Words before the first sentence of a longer story; what follows begins with a name.</summary>
    public static IReadOnlyList<string> Openings { get; } = ["One day, ", "In the morning, ", "Once, ", "On a warm day, ", "At first, "];

    /// <summary>Sentences that close a longer story and say nothing that is asked for.</summary>
    public static IReadOnlyList<string> Closings { get; } = ["It was a good day.", "Then the sun went down.", "That was all for the day.", "Then it was time to sleep."];

    public static IReadOnlyList<string> Of(Event item) => item switch
    {
        WasIn was => [$"{was.Person} was in {was.Place}.", $"{was.Person} sat in {was.Place}.", $"{was.Person} waited in {was.Place}."],
        Went went => [$"{went.Person} went to {went.Place}.", $"{went.Person} walked to {went.Place}.", $"{went.Person} ran to {went.Place}."],
        Lay lay => [$"The {lay.Thing.Bare} was in {lay.Place}.", $"The {lay.Thing.Bare} lay in {lay.Place}.", $"There was {Grammar.WithArticle(lay.Thing.Bare)} in {lay.Place}."],
        Had had => [$"{had.Person} had {had.Thing}.", $"{had.Person} held {had.Thing}.", $"{had.Person} carried {had.Thing}."],
        Took took => [$"{took.Person} took {took.Thing}.", $"{took.Person} picked up {took.Thing}."],
        Left left => [$"{left.Person} left {left.Thing} in {left.Place}.", $"{left.Person} put {left.Thing} in {left.Place}."],
        Gave gave => [$"{gave.Giver} gave {gave.Thing} to {gave.Receiver}.", $"{gave.Giver} handed {gave.Thing} to {gave.Receiver}."],
        Snatched snatched => [$"{snatched.Taker} took {snatched.Thing} from {snatched.Owner}.", $"{snatched.Taker} grabbed {snatched.Thing} from {snatched.Owner}."],
        Wanted wanted => [$"{wanted.Person} wanted {wanted.Thing}.", $"{wanted.Person} wished for {wanted.Thing}.", $"{wanted.Person} asked for {wanted.Thing}."],
        Felt felt => [$"{felt.Person} was {felt.Mood}.", $"{felt.Person} felt {felt.Mood}."],
        Saw saw => [$"{saw.Person} saw {saw.Animal}.", $"{saw.Person} met {saw.Animal}."],
        Did did => [$"{did.Person} {did.Verb} {did.Thing}."],
        Owned owned => [$"{owned.Person} had {NumberWords.Of(owned.Number)} {owned.Kind.Plural}."],
        _ => throw new NotSupportedException($"No sentence tells {item}."),
    };
}
