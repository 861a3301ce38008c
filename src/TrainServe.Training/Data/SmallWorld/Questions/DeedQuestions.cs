using TrainServe.Training.Data.SmallWorld.State;

namespace TrainServe.Training.Data.SmallWorld.Questions;

/// <summary>Who did what, what somebody did first, and what next.</summary>
internal static class DeedQuestions
{
    public static IEnumerable<Question> Of(Tale tale)
    {
        var deeds = tale.Told.Where(item => item.Event.Happens).ToList();
        foreach (var told in deeds)
        {
            if (told.Event is Did did && deeds.Count(other => other.Event is Did same && same.Verb == did.Verb && same.Thing == did.Thing) == 1)
            {
                yield return PlaceQuestions.WhoQuestion(QuestionFamily.WhoDid, $"Who {did.Verb} {did.Thing}?", $"{{0}} {did.Verb} {did.Thing}.", did.Person.Name);
            }
        }
        foreach (var own in deeds.GroupBy(item => item.Event.Actor!).Select(group => (Person: group.Key, Deeds: group.ToList())))
        {
            if (own.Deeds.Count < 2 || own.Deeds.DistinctBy(item => item.Clause).Count() < own.Deeds.Count)
            {
                continue;
            }
            yield return Deed(QuestionFamily.FirstDeed, $"What did {own.Person} do first?", own.Deeds[0]);
            foreach (var (before, after) in own.Deeds.Zip(own.Deeds.Skip(1)))
            {
                string predicate = before.Clause[(own.Person.Name.Length + 1)..];
                yield return Deed(QuestionFamily.NextDeed, $"What did {own.Person} do after {own.Person.Subject} {predicate}?", after);
            }
        }
    }

    private static Question Deed(QuestionFamily family, string text, Told told) =>
        new() { Family = family, Text = text, Kind = AnswerKind.Event, Key = told.Clause, AnswerWith = Question.Frame("{0}.") };
}
