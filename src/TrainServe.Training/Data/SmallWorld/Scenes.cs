using TrainServe.Core.Random;
using TrainServe.Training.Data.SmallWorld.State;
using TrainServe.Training.Data.SmallWorld.Words;

namespace TrainServe.Training.Data.SmallWorld;

/// <summary>What happens in a story, by kind.</summary>
internal static class Scenes
{
    /// <summary>People in places, sometimes two together; up to two go elsewhere.</summary>
    public static void Places(SceneBuilder scene)
    {
        var people = People(scene, scene.Size);
        var now = new Dictionary<Person, Place>();
        bool areTogether = scene.Random.Chance(0.5);
        for (int i = 0; i < people.Length; i++)
        {
            now[people[i]] = areTogether && i == 1 ? now[people[0]] : scene.NewPlace(place => scene.Owns(people[i].Name, place.Noun));
            scene.Begin(new WasIn(people[i], now[people[i]]));
        }
        foreach (var person in scene.Random.Shuffled(people).Take(scene.Random.Between(0, Math.Min(2, scene.Size - 1))))
        {
            scene.Then(new Went(person, scene.NewPlace(place => scene.Owns(person.Name, place.Noun))));
        }
    }

    /// <summary>People with a thing each, of which some are given on.</summary>
    public static void Hands(SceneBuilder scene)
    {
        var people = People(scene, scene.Size);
        var holders = new Dictionary<Thing, Person>();
        foreach (var person in people)
        {
            holders[scene.NewThing(thing => scene.Owns(person.Name, thing.Noun))] = person;
        }
        GiveOn(scene, people, holders, gifts: scene.Random.Between(0, scene.Size > 2 ? 2 : 1));
    }

    /// <summary>The same with two things that differ only in color.</summary>
    public static void Twins(SceneBuilder scene)
    {
        var people = People(scene, Math.Max(2, scene.Size - 1));
        var colors = scene.Random.Shuffled(Vocabulary.Colors);
        bool areTwins = scene.Random.Chance(0.6);
        var first = scene.NewThing(thing => scene.Owns(people[0].Name, thing.Noun) && (!areTwins || scene.Owns(people[1].Name, thing.Noun)));
        for (int i = 0; i < people.Length; i++)
        {
            var thing = i == 0 || (i == 1 && areTwins) ? first with { Color = colors[i] } : scene.NewThing(thing => scene.Owns(people[i].Name, thing.Noun)) with { Color = colors[i] };
            scene.Begin(new Had(people[i], thing));
        }
    }

    /// <summary>People in places with things in their hands; one may go elsewhere.</summary>
    public static void Carriers(SceneBuilder scene)
    {
        var people = People(scene, Math.Min(4, scene.Size));
        foreach (var person in people)
        {
            var thing = scene.NewThing(thing => scene.Owns(person.Name, thing.Noun));
            scene.Begin(new WasIn(person, scene.NewPlace(place => scene.Owns(person.Name, place.Noun) && scene.Owns(thing.Noun, place.Noun))));
            scene.Begin(new Had(person, thing));
        }
        if (scene.Random.Chance(0.25))
        {
            var person = scene.Random.Pick(people);
            scene.Then(new Went(person, scene.NewPlace(place => scene.Owns(person.Name, place.Noun))));
        }
    }

    /// <summary>Things in places, and people who want them.</summary>
    public static void Wishes(SceneBuilder scene)
    {
        int size = Math.Min(4, scene.Size);
        foreach (var person in People(scene, size))
        {
            var thing = scene.NewThing(thing => scene.Owns(person.Name, thing.Noun));
            scene.Begin(new Lay(thing, scene.NewPlace(place => scene.Owns(thing.Noun, place.Noun) && scene.Owns(person.Name, place.Noun))));
            scene.Begin(new Wanted(person, thing));
        }
    }

    /// <summary>Things in places, and nobody there.</summary>
    public static void Finds(SceneBuilder scene)
    {
        for (int i = 0; i < scene.Size; i++)
        {
            var thing = scene.NewThing(_ => true);
            scene.Begin(new Lay(thing, scene.NewPlace(place => scene.Owns(thing.Noun, place.Noun))));
        }
    }

    /// <summary>People who feel something, most of them because of what they did.</summary>
    public static void Moods(SceneBuilder scene)
    {
        var people = People(scene, Math.Min(4, scene.Size));
        foreach (var person in people)
        {
            scene.Begin(new Felt(person, scene.New(Vocabulary.Moods, mood => scene.Owns(person.Name, mood))));
            scene.Begin(new Did(person, scene.New(Vocabulary.Deeds, _ => true), scene.NewThing(thing => scene.Owns(person.Name, thing.Noun))));
        }
    }

    /// <summary>People with some things each.</summary>
    public static void Counts(SceneBuilder scene)
    {
        var kinds = new[] { scene.NewThing(_ => true), scene.NewThing(_ => true) };
        foreach (var person in People(scene, scene.Size))
        {
            string number = scene.New([.. Vocabulary.Numbers.Skip(2)], number => scene.Owns(person.Name, number));
            scene.Begin(new Owned(person, Vocabulary.Numbers.ToList().IndexOf(number), scene.Random.Pick(kinds)));
        }
    }

    private static Person[] People(SceneBuilder scene, int count) => [.. Enumerable.Range(0, count).Select(_ => scene.NewPerson())];

    private static void GiveOn(SceneBuilder scene, Person[] people, Dictionary<Thing, Person> holders, int gifts)
    {
        foreach (var (thing, holder) in holders)
        {
            scene.Begin(new Had(holder, thing));
        }
        foreach (var thing in scene.Random.Shuffled(holders.Keys).Take(gifts))
        {
            var suiting = people.Where(person => person != holders[thing] && scene.Owns(person.Name, thing.Noun) && scene.Owns(holders[thing].Name, person.Name)).ToList();
            if (suiting.Count > 0)
            {
                var receiver = scene.Random.Pick(suiting);
                scene.Then(new Gave(holders[thing], receiver, thing));
            }
        }
    }
}
