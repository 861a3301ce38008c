using TrainServe.Training.Data.SmallWorld.State;
using TrainServe.Training.Data.SmallWorld.Words;

namespace TrainServe.Training.Data.SmallWorld.Scenes;

/// <summary>Stories about who has what.</summary>
internal static class HandScenes
{
    /// <summary>Five people with a thing each, of which some are given on.</summary>
    public static void Gifts(SceneBuilder scene) => GiveOn(scene, scene.NewThings(5));

    /// <summary>The same, with two of the things alike but for their color.</summary>
    public static void Twins(SceneBuilder scene)
    {
        var things = scene.NewThings(4);
        GiveOn(scene, scene.Random.Shuffled(things.Append(scene.NewTwin(things[0]))));
    }

    /// <summary>Four people in places of their own, most with a thing in their hands, and a thing that lies somewhere.</summary>
    public static void Errands(SceneBuilder scene)
    {
        var random = scene.Random;
        var people = scene.NewPeople(4);
        var places = scene.NewPlaces(5);
        var things = scene.NewThings(4);
        for (int i = 0; i < people.Length; i++)
        {
            scene.Begin(new WasIn(people[i], places[i]));
            if (i < 3)
            {
                scene.Begin(new Had(people[i], things[i]));
            }
        }
        scene.Begin(new Lay(things[3], random.Chance(0.5) ? places[4] : places[3]));
        for (int left = random.Between(0, 2); left > 0; left--)
        {
            scene.Then(Errand(scene, people, places));
        }
    }

    /// <summary>People want things that lie in places of their own.</summary>
    public static void Wishes(SceneBuilder scene)
    {
        var random = scene.Random;
        var people = scene.NewPeople(5);
        var places = scene.NewPlaces(5);
        var things = scene.NewThings(5);
        var wishes = random.Shuffled(things);
        int wishers = random.Between(4, 5);
        for (int i = 0; i < things.Length; i++)
        {
            scene.Begin(new Lay(things[i], places[i]));
            if (i < wishers)
            {
                scene.Begin(new Wanted(people[i], wishes[i]));
            }
        }
    }

    /// <summary>People want what others have.</summary>
    public static void Envy(SceneBuilder scene)
    {
        var random = scene.Random;
        var people = scene.NewPeople(5);
        var things = scene.NewThings(5);
        for (int i = 0; i < people.Length; i++)
        {
            scene.Begin(new Had(people[i], things[i]));
        }
        int step = random.Between(1, 4);
        foreach (int i in random.Shuffled(Enumerable.Range(0, people.Length)).Take(random.Between(3, 4)))
        {
            scene.Begin(new Wanted(people[i], things[(i + step) % things.Length]));
        }
        if (random.Chance(0.3))
        {
            Give(scene, people);
        }
    }

    private static void GiveOn(SceneBuilder scene, Thing[] things)
    {
        var people = scene.NewPeople(5);
        for (int i = 0; i < people.Length; i++)
        {
            scene.Begin(new Had(people[i], things[i]));
        }
        for (int left = scene.Random.Between(1, 3); left > 0; left--)
        {
            Give(scene, people);
        }
    }

    private static void Give(SceneBuilder scene, Person[] people)
    {
        var (thing, spot) = scene.Random.Pick([.. scene.World.Spots.Where(pair => pair.Value.Holder is not null)]);
        scene.Then(new Gave(spot.Holder!, scene.Random.Pick([.. people.Where(person => person != spot.Holder)]), thing));
    }

    // Somebody takes what lies there, lays down what they have, or goes elsewhere with it.
    private static Event Errand(SceneBuilder scene, Person[] people, Place[] places)
    {
        var random = scene.Random;
        var world = scene.World;
        var person = random.Pick(people);
        var here = world.Places[person];
        var within = world.Spots.Where(pair => pair.Value.Place == here).Select(pair => pair.Key).ToList();
        var held = world.HeldBy(person).ToList();
        if (within.Count > 0 && random.Chance(0.8))
        {
            return new Took(person, random.Pick(within));
        }
        if (held.Count > 0 && random.Chance(0.4))
        {
            return new Left(person, random.Pick(held), here);
        }
        return new Went(person, random.Pick([.. places.Where(place => place != here)]));
    }
}
