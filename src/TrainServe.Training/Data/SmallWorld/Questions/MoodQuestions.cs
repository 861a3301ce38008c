using TrainServe.Training.Data.SmallWorld.State;

namespace TrainServe.Training.Data.SmallWorld.Questions;

/// <summary>Who feels how, and why.</summary>
internal static class MoodQuestions
{
    public static IEnumerable<Question> Of(Tale tale)
    {
        foreach (var (person, felt) in tale.World.Feelings)
        {
            yield return new Question
            {
                Family = QuestionFamily.HowFeels,
                Text = $"How does {person} feel?",
                Kind = AnswerKind.Feeling,
                Key = felt.Mood,
                AnswerWith = Question.Frame($"{person} feels {{0}}."),
                AlsoRight = [$"{person} is {felt.Mood}."],
            };
            if (tale.World.Feelings.Values.Count(other => other.Mood == felt.Mood) == 1)
            {
                yield return PlaceQuestions.WhoQuestion(QuestionFamily.WhoFeels, $"Who is {felt.Mood}?", $"{{0}} is {felt.Mood}.", person.Name);
            }
            if (felt.Cause is { } cause && tale.Told.FirstOrDefault(item => item.Event == cause) is { } told)
            {
                yield return new Question
                {
                    Family = QuestionFamily.WhyFeels,
                    Text = $"Why is {person} {felt.Mood}?",
                    Kind = AnswerKind.Event,
                    Key = told.Clause,
                    AnswerWith = Question.Frame("Because {0}."),
                };
            }
        }
    }
}
