using TrainServe.Core.Random;
using TrainServe.Training.Data.SmallWorld.State;
using TrainServe.Training.Data.SmallWorld.Words;

namespace TrainServe.Training.Data.SmallWorld.Questions;

/// <summary>All questions that a story answers with certainty.</summary>
/// <remarks>Where two facts have to be put together the answer says the first before the second, so that each is looked up by a word that was just said.</remarks>
internal static class StoryQuestions
{
    public static IEnumerable<Question> Of(Tale tale, PhiloxRandom random) =>
        People(tale.World, random).Concat(Pronouns(tale.World)).Concat(Things(tale.World, random)).Concat(Nouns(tale, random)).Concat(Wishes(tale.World)).Concat(Gifts(tale)).Concat(Moods(tale.World)).Concat(Counts(tale.World));

    private static IEnumerable<Question> People(World world, PhiloxRandom random)
    {
        foreach (var (person, path) in world.Paths)
        {
            var place = path[^1];
            yield return Where(QuestionFamily.WherePerson, random.Pick($"Where is {person}?", $"Where is {person} now?"), person.Name, place);
            var together = world.PeopleIn(place).ToList();
            if (together.Count == 1)
            {
                yield return Who(QuestionFamily.WhoInPlace, $"Who is in {place}?", place.Noun, person);
            }
            if (together.Count == 2)
            {
                yield return Who(QuestionFamily.WhoIsWith, $"Who is with {person}?", place.Noun, together.Single(other => other != person)) with { Frame = $"{person.Subject} is in {place} with {{0}}." };
            }
            if (path.Count == 2)
            {
                yield return Where(QuestionFamily.PlaceBefore, $"Where was {person} before?", person.Name, path[0]);
            }
        }
    }

    private static IEnumerable<Question> Pronouns(World world)
    {
        foreach (var same in world.Paths.Keys.GroupBy(person => person.Subject, StringComparer.Ordinal).Select(group => group.ToList()))
        {
            string text = $"Where is {same[0].Subject}?";
            if (same.Count == 1)
            {
                yield return Where(QuestionFamily.ClearPerson, text, same[0].Name, world.Paths[same[0]][^1]);
            }
            if (same.Count == 2)
            {
                yield return AskBack(QuestionFamily.UnclearPerson, text, same[0].Name, same[1].Name) with { Clarified = ($"I mean {same[0]}.", $"In {world.Paths[same[0]][^1]}.") };
            }
        }
    }

    private static IEnumerable<Question> Things(World world, PhiloxRandom random)
    {
        foreach (var (thing, place) in world.Lying)
        {
            yield return Where(QuestionFamily.WhereThing, $"Where is {thing}?", thing.Noun, place);
        }
        foreach (var (thing, holder) in world.Holders)
        {
            yield return Who(QuestionFamily.WhoHas, random.Pick($"Who has {thing}?", $"Who has {thing} now?"), thing.Noun, holder);
            if (world.HeldBy(holder).Count() == 1)
            {
                yield return What(QuestionFamily.WhatHas, $"What does {holder} have?", holder, thing);
            }
            if (world.Paths.TryGetValue(holder, out var path))
            {
                yield return Where(QuestionFamily.WhereHeld, $"Where is {thing}?", thing.Noun, path[^1]) with { Frame = $"{holder} has it, in {{0}}." };
            }
        }
    }

    // "Who has the ball?", where the story has a red one and a blue one, or only one of them.
    private static IEnumerable<Question> Nouns(Tale tale, PhiloxRandom random)
    {
        var colored = tale.Events.OfType<Had>().Where(had => had.Thing.Color is not null).ToList();
        foreach (var same in colored.GroupBy(had => had.Thing.Noun, StringComparer.Ordinal).Select(group => group.ToList()))
        {
            string text = $"Who has the {same[0].Thing.Noun}?";
            if (same.Count == 1)
            {
                yield return Who(QuestionFamily.ClearThing, text, same[0].Thing.Noun, same[0].Person);
            }
            if (same.Count == 2)
            {
                var meant = random.Pick(same);
                yield return AskBack(QuestionFamily.UnclearThing, text, same[0].Thing.ToString(), same[1].Thing.ToString()) with { Clarified = ($"I mean {meant.Thing}.", $"It is {meant.Person}.") };
            }
        }
    }

    private static IEnumerable<Question> Wishes(World world)
    {
        foreach (var (person, thing) in world.Wishes)
        {
            yield return What(QuestionFamily.WhatWanted, $"What did {person} want?", person, thing);
            yield return Who(QuestionFamily.WhoWanted, $"Who wanted {thing}?", thing.Noun, person);
            if (world.Lying.TryGetValue(thing, out var place))
            {
                yield return Where(QuestionFamily.WhereWanted, $"Where is the thing that {person} wanted?", person.Name, place) with { Frame = $"{thing} is in {{0}}." };
            }
        }
    }

    private static IEnumerable<Question> Gifts(Tale tale) => tale.Events.OfType<Gave>().Select(gave =>
        Who(QuestionFamily.WhoGave, $"Who gave {gave.Thing} to {gave.Receiver}?", gave.Receiver.Name, gave.Giver));

    private static IEnumerable<Question> Moods(World world)
    {
        foreach (var (person, mood) in world.Moods)
        {
            yield return new() { Family = QuestionFamily.HowFeels, Text = $"How does {person} feel?", Kind = AnswerKind.Mood, Key = mood, Frame = $"{person.Subject} is {{0}}.", Subject = person.Name };
            yield return Who(QuestionFamily.WhoFeels, $"Who is {mood}?", mood, person);
        }
        foreach (var (person, did) in world.Deeds)
        {
            yield return Who(QuestionFamily.WhoDid, $"Who {did.Predicate}?", did.Thing.Noun, person);
            if (world.Moods.TryGetValue(person, out string? mood))
            {
                yield return new() { Family = QuestionFamily.WhyFeels, Text = $"Somebody is {mood}. Why?", Kind = AnswerKind.Deed, Key = did.Predicate, Frame = $"{person} {{0}}.", Subject = mood };
            }
        }
    }

    private static IEnumerable<Question> Counts(World world) => world.Counts.Select(pair => new Question
    {
        Family = QuestionFamily.CountThings,
        Text = $"How many {pair.Value.Kind.Plural} does {pair.Key} have?",
        Kind = AnswerKind.Number,
        Key = Vocabulary.Numbers[pair.Value.Number],
        Frame = $"{pair.Key.Subject} has {{0}}.",
        Subject = pair.Key.Name,
    });

    private static Question Where(QuestionFamily family, string text, string subject, Place place) =>
        new() { Family = family, Text = text, Kind = AnswerKind.Place, Key = place.ToString(), Frame = "In {0}.", Subject = subject };

    private static Question Who(QuestionFamily family, string text, string subject, Person person) =>
        new() { Family = family, Text = text, Kind = AnswerKind.Person, Key = person.Name, Frame = "It is {0}.", Subject = subject };

    private static Question What(QuestionFamily family, string text, Person person, Thing thing) =>
        new() { Family = family, Text = text, Kind = AnswerKind.Thing, Key = thing.ToString(), Frame = "{0}.", Subject = person.Name };

    private static Question AskBack(QuestionFamily family, string text, string one, string other) =>
        new() { Family = family, Text = text, Kind = AnswerKind.Choice, Key = $"{one} or {other}", Frame = "Do you mean {0}?", AlsoRight = [$"{other} or {one}"] };
}
