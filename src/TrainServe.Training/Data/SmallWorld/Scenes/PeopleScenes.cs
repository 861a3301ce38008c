using TrainServe.Core.Random;
using TrainServe.Training.Data.SmallWorld.State;
using TrainServe.Training.Data.SmallWorld.Words;

namespace TrainServe.Training.Data.SmallWorld.Scenes;

/// <summary>Stories about feelings, deeds and numbers.</summary>
internal static class PeopleScenes
{
    /// <summary>Five people with five feelings, of which three have a cause that the story tells.</summary>
    public static void Feelings(SceneBuilder scene)
    {
        var random = scene.Random;
        var people = scene.NewPeople(5);
        var moods = random.Shuffled(Moods.All);
        string[] causable = [Moods.Happy, Moods.Sad, Moods.Scared, Moods.Tired, Moods.Proud];
        var lines = new List<Queue<Event>>();
        // At least two of the five causes name a thing or a place, so that three always do.
        foreach (var (person, mood) in people.Zip(random.Shuffled(causable)).Take(3))
        {
            var cause = Cause(scene, person, mood, random.Pick([.. people.Where(other => other != person)]));
            lines.Add(new([cause, new Felt(person, mood, cause)]));
        }
        foreach (var (person, mood) in people.Skip(3).Zip(moods.Where(mood => !lines.Any(line => line.OfType<Felt>().Single().Mood == mood))))
        {
            lines.Add(new([new Felt(person, mood, null)]));
        }
        lines.Add(new([new Did(people[^1], random.Pick(SentenceFrames.Deeds), scene.NewThings(1)[0])]));
        Interleave(scene, lines);
    }

    /// <summary>Four people who do two things each, one after the other.</summary>
    public static void Deeds(SceneBuilder scene)
    {
        var random = scene.Random;
        var people = scene.NewPeople(4);
        var things = scene.NewThings(6);
        var places = scene.NewPlaces(2);
        var verbs = random.Shuffled(SentenceFrames.Deeds);
        // Eight deeds with eight objects, dealt out two a person.
        var deeds = random.Shuffled(Enumerable.Range(0, 8));
        Event Deed(Person person, int deed) => deed < things.Length ? new Did(person, verbs[deed], things[deed]) : new Went(person, places[deed - things.Length]);
        Interleave(scene, [.. people.Select((person, i) => new Queue<Event>([Deed(person, deeds[2 * i]), Deed(person, deeds[(2 * i) + 1])]))]);
    }

    /// <summary>Five people with some things each, of two kinds.</summary>
    public static void Numbers(SceneBuilder scene)
    {
        var random = scene.Random;
        var people = scene.NewPeople(5);
        var kinds = scene.NewThings(2);
        var numbers = random.Shuffled(Enumerable.Range(2, 8));
        for (int i = 0; i < people.Length; i++)
        {
            scene.Begin(new Owned(people[i], numbers[i], kinds[i < 3 ? 0 : 1]));
        }
    }

    private static Event Cause(SceneBuilder scene, Person person, string mood, Person other) => mood switch
    {
        Moods.Happy => new Gave(other, person, scene.NewThings(1)[0]),
        Moods.Sad => new Snatched(other, person, scene.NewThings(1)[0]),
        Moods.Scared => new Saw(person, scene.Random.Pick(Moods.Animals)),
        Moods.Tired => new Went(person, scene.NewPlaces(1)[0]),
        _ => new Did(person, scene.Random.Pick(["washed", "painted", "found", "cleaned", "drew"]), scene.NewThings(1)[0]),
    };

    // Each line keeps its order; which line goes on is chance.
    private static void Interleave(SceneBuilder scene, List<Queue<Event>> lines)
    {
        while (lines.Count > 0)
        {
            var line = scene.Random.PickWeighted(lines, candidate => candidate.Count);
            scene.Then(line.Dequeue());
            if (line.Count == 0)
            {
                lines.Remove(line);
            }
        }
    }
}
