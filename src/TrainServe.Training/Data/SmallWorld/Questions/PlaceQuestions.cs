using TrainServe.Core.Random;
using TrainServe.Training.Data.SmallWorld.State;

namespace TrainServe.Training.Data.SmallWorld.Questions;

/// <summary>Who is where, and was where before.</summary>
internal static class PlaceQuestions
{
    public static IEnumerable<Question> Of(Tale tale, PhiloxRandom random)
    {
        foreach (var (person, place) in tale.World.Places)
        {
            yield return AtPlace(QuestionFamily.WherePerson, random.Pick($"Where is {person}?", $"Where is {person} now?"), $"{person} is in {{0}}.", place.Text);
            var there = tale.World.PeopleIn(place).ToList();
            if (there.Count == 1)
            {
                yield return WhoQuestion(QuestionFamily.WhoInPlace, $"Who is in {place}?", $"{{0}} is in {place}.", person.Name);
            }
            if (there.Count == 2)
            {
                var other = there.Single(candidate => candidate != person);
                yield return WhoQuestion(QuestionFamily.WhoIsWith, $"Who is with {person}?", $"{{0}} is with {person}.", other.Name);
            }
            var path = tale.Told.Select(item => item.Event).Select(item => item switch
            {
                WasIn was when was.Person == person => was.Place,
                Went went when went.Person == person => went.Place,
                _ => null,
            }).OfType<Words.Place>().ToList();
            if (path.Count > 1 && path.Distinct().Count() == path.Count)
            {
                yield return AtPlace(QuestionFamily.PlaceBefore, $"Where was {person} before {person.Subject} went to {place}?", $"{person} was in {{0}}.", path[^2].Text);
            }
        }
    }

    /// <summary>A question with a place as its answer; "in the old barn" and "old barn" are right as well.</summary>
    public static Question AtPlace(QuestionFamily family, string text, string frame, string place) => new()
    {
        Family = family,
        Text = text,
        Kind = AnswerKind.Place,
        Key = place,
        AnswerWith = Question.Frame(frame),
        AlsoRight = [$"in {place}"],
    };

    public static Question WhoQuestion(QuestionFamily family, string text, string frame, string person) =>
        new() { Family = family, Text = text, Kind = AnswerKind.Person, Key = person, AnswerWith = Question.Frame(frame) };
}
