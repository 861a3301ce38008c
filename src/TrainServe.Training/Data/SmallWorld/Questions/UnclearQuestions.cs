using TrainServe.Core.Random;
using TrainServe.Training.Data.SmallWorld.State;

namespace TrainServe.Training.Data.SmallWorld.Questions;

/// <summary>Questions that could mean two, where asking back is right, and the same questions where only one can be meant.</summary>
internal static class UnclearQuestions
{
    public static IEnumerable<Question> Of(Tale tale, PhiloxRandom random) => Things(tale, random).Concat(Pronouns(tale, random));

    private static IEnumerable<Question> Things(Tale tale, PhiloxRandom random)
    {
        // By where the text names them first.
        foreach (var same in tale.Told.SelectMany(item => item.Event.Mentions).Where(mention => mention.Kind == AnswerKind.Thing)
            .Select(mention => tale.World.Spots.Keys.FirstOrDefault(thing => thing.Text == mention.Text)).OfType<Words.Thing>().Distinct().GroupBy(thing => thing.Noun, StringComparer.Ordinal))
        {
            var things = same.ToList();
            if (things.Any(thing => tale.World.Spots[thing].Holder is null))
            {
                continue;
            }
            string text = random.Pick($"Who has the {same.Key}?", $"Who has the {same.Key} now?");
            if (things.Count == 2)
            {
                yield return AskBack(QuestionFamily.UnclearThing, text, "{0}?", things[0].Text, things[1].Text);
            }
            if (things.Count == 1)
            {
                yield return PlaceQuestions.WhoQuestion(QuestionFamily.ClearThing, text, $"{{0}} has {things[0]}.", tale.World.Spots[things[0]].Holder!.Name);
            }
        }
    }

    private static IEnumerable<Question> Pronouns(Tale tale, PhiloxRandom random)
    {
        foreach (var same in tale.World.Places.GroupBy(pair => pair.Key.Subject, StringComparer.Ordinal))
        {
            string text = random.Pick($"Where is {same.Key}?", $"Where is {same.Key} now?");
            var people = same.ToList();
            if (people.Count == 2)
            {
                yield return AskBack(QuestionFamily.UnclearPerson, text, "Do you mean {0}?", people[0].Key.Name, people[1].Key.Name);
            }
            if (people.Count == 1)
            {
                yield return PlaceQuestions.AtPlace(QuestionFamily.ClearPerson, text, $"{people[0].Key} is in {{0}}.", people[0].Value.Text);
            }
        }
    }

    private static Question AskBack(QuestionFamily family, string text, string frame, string one, string other) => new()
    {
        Family = family,
        Text = text,
        Kind = AnswerKind.Choice,
        Key = $"{one} or {other}",
        AnswerWith = Question.Frame(frame),
        AlsoRight = [$"{other} or {one}", Question.Frame(frame)($"{other} or {one}")],
    };
}
