using System.Globalization;
using TrainServe.Training.Data.SmallWorld.State;
using TrainServe.Training.Data.SmallWorld.Words;

namespace TrainServe.Training.Data.SmallWorld.Questions;

/// <summary>How many: as told, of two together, and of people in a place.</summary>
internal static class CountQuestions
{
    public static IEnumerable<Question> Of(Tale tale)
    {
        var counts = tale.World.Counts.Values.ToList();
        foreach (var (person, number, kind) in counts)
        {
            yield return HowMany(QuestionFamily.CountThings, $"How many {kind.Plural} does {person} have?", number, word => $"{person} has {word} {kind.Plural}.");
            foreach (var (other, more, _) in counts.Where(count => count.Kind == kind && count.Person != person && count.Number + number <= NumberWords.Largest))
            {
                yield return HowMany(QuestionFamily.CountTogether, $"How many {kind.Plural} do {person} and {other} have?", number + more, word => $"{person} and {other} have {word} {kind.Plural}.");
            }
        }
        if (tale.Crowded is { } place && tale.World.PeopleIn(place).Count() is > 0 and var people)
        {
            yield return HowMany(QuestionFamily.CountPeople, $"How many people are in {place}?", people,
                word => Grammar.Capital(word == NumberWords.Of(1) ? $"{word} person is in {place}." : $"{word} people are in {place}."));
        }
    }

    private static Question HowMany(QuestionFamily family, string text, int number, Func<string, string> answer) => new()
    {
        Family = family,
        Text = text,
        Kind = AnswerKind.Number,
        Key = NumberWords.Of(number),
        AnswerWith = answer,
        AlsoRight = [number.ToString(CultureInfo.InvariantCulture)],
    };
}
