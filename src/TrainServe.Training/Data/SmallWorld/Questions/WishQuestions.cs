using TrainServe.Training.Data.SmallWorld.State;

namespace TrainServe.Training.Data.SmallWorld.Questions;

/// <summary>Who wanted what, and where that is: the latter takes the wish and the thing's place or holder.</summary>
internal static class WishQuestions
{
    public static IEnumerable<Question> Of(Tale tale)
    {
        foreach (var (person, thing) in tale.World.Wishes)
        {
            yield return ThingQuestions.WhatQuestion(QuestionFamily.WhatWanted, $"What did {person} want?", $"{person} wanted {{0}}.", thing);
            if (tale.World.Wishes.Values.Count(other => other == thing) == 1)
            {
                yield return PlaceQuestions.WhoQuestion(QuestionFamily.WhoWanted, $"Who wanted {thing}?", $"{{0}} wanted {thing}.", person.Name);
            }
            if (tale.World.PlaceOf(thing) is { } place)
            {
                yield return PlaceQuestions.AtPlace(QuestionFamily.WhereWanted, $"Where is the thing that {person} wanted?", $"{thing} is in {{0}}.", place.Text);
            }
            if (tale.World.Spots.GetValueOrDefault(thing).Holder is { } holder && holder != person)
            {
                yield return PlaceQuestions.WhoQuestion(QuestionFamily.WhoHasWanted, $"Who has the thing that {person} wanted?", $"{{0}} has {thing}.", holder.Name);
            }
        }
    }
}
