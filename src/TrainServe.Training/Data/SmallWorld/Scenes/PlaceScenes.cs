using TrainServe.Training.Data.SmallWorld.State;

namespace TrainServe.Training.Data.SmallWorld.Scenes;

/// <summary>Stories about where people are.</summary>
internal static class PlaceScenes
{
    /// <summary>Five people, of whom sometimes two are together; some go elsewhere.</summary>
    public static void Walks(SceneBuilder scene)
    {
        var random = scene.Random;
        // One or two of a kind make "she" clear or unclear.
        var people = scene.NewPeople(5, girls: random.Between(1, 4));
        var places = scene.NewPlaces(6);
        bool areTogether = random.Chance(0.5);
        for (int i = 0; i < people.Length; i++)
        {
            scene.Begin(new WasIn(people[i], places[areTogether && i == 1 ? 0 : i]));
        }
        if (random.Chance(0.4))
        {
            scene.Begin(new Lay(scene.NewThings(1)[0], places[5]));
        }
        foreach (var person in random.Shuffled(people).Take(random.Between(1, 3)))
        {
            scene.Then(new Went(person, random.Pick([.. places.Where(place => place != scene.World.Places[person])])));
        }
    }

    /// <summary>Seven people in three places; the number of those in one of them is uniform from one to five.</summary>
    public static void Crowd(SceneBuilder scene)
    {
        var random = scene.Random;
        var people = scene.NewPeople(7);
        var places = scene.NewPlaces(3);
        int crowd = random.Between(1, 5);
        for (int i = 0; i < people.Length; i++)
        {
            scene.Begin(new WasIn(people[i], i < crowd ? places[0] : places[1 + (i % 2)]));
        }
        scene.Crowded = places[0];
    }
}
