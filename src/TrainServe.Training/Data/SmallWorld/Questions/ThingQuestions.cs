using TrainServe.Training.Data.SmallWorld.State;
using TrainServe.Training.Data.SmallWorld.Words;

namespace TrainServe.Training.Data.SmallWorld.Questions;

/// <summary>Who has what, where it is, and who gave it to whom.</summary>
internal static class ThingQuestions
{
    public static IEnumerable<Question> Of(Tale tale) => Holding(tale).Concat(Giving([.. tale.Told.Select(item => item.Event).OfType<Gave>()]));

    /// <summary>A question with a thing as its answer.</summary>
    public static Question WhatQuestion(QuestionFamily family, string text, string frame, Thing thing) =>
        new() { Family = family, Text = text, Kind = AnswerKind.Thing, Key = thing.Text, AnswerWith = Question.Frame(frame) };

    private static IEnumerable<Question> Holding(Tale tale)
    {
        foreach (var (thing, spot) in tale.World.Spots)
        {
            if (tale.World.PlaceOf(thing) is { } place)
            {
                var family = spot.Holder is null ? QuestionFamily.WhereThing : QuestionFamily.WhereHeld;
                yield return PlaceQuestions.AtPlace(family, $"Where is {thing}?", $"{thing} is in {{0}}.", place.Text);
            }
            if (spot.Holder is { } holder)
            {
                yield return PlaceQuestions.WhoQuestion(QuestionFamily.WhoHas, $"Who has {thing}?", $"{{0}} has {thing}.", holder.Name);
                if (tale.World.HeldBy(holder).Count() == 1)
                {
                    yield return WhatQuestion(QuestionFamily.WhatHas, $"What does {holder} have?", $"{holder} has {{0}}.", thing);
                }
            }
        }
    }

    // Only gifts that the question tells from every other one.
    private static IEnumerable<Question> Giving(List<Gave> gifts)
    {
        foreach (var gift in gifts)
        {
            var (giver, receiver, thing) = (gift.Giver, gift.Receiver, gift.Thing);
            if (gifts.Count(other => other.Thing == thing && other.Receiver == receiver) == 1)
            {
                yield return PlaceQuestions.WhoQuestion(QuestionFamily.WhoGave, $"Who gave {thing} to {receiver}?", $"{{0}} gave {thing} to {receiver}.", giver.Name);
            }
            if (gifts.Count(other => other.Giver == giver && other.Receiver == receiver) == 1)
            {
                yield return WhatQuestion(QuestionFamily.WhatGave, $"What did {giver} give to {receiver}?", $"{giver} gave {{0}} to {receiver}.", thing);
            }
            if (gifts.Count(other => other.Thing == thing && other.Giver == giver) == 1)
            {
                yield return PlaceQuestions.WhoQuestion(QuestionFamily.WhoGot, $"Who got {thing} from {giver}?", $"{{0}} got {thing} from {giver}.", receiver.Name);
            }
        }
    }
}
