using System.Text.Json;

namespace TrainServe.Training.Data.SmallWorld.Questions;

/// <summary>The families of questions, each counted on its own.</summary>
public enum QuestionFamily
{
    // One fact of the story answers.
    WherePerson,
    WhoInPlace,
    WhereThing,
    WhoHas,
    WhatHas,
    WhoGave,
    WhatWanted,
    WhoWanted,
    HowFeels,
    WhoFeels,
    WhoDid,
    CountThings,

    // Only one can be meant, or two: then asking back is right. The two have the same questions.
    ClearThing,
    ClearPerson,
    UnclearThing,
    UnclearPerson,

    // Two facts have to be put together.
    PlaceBefore,
    WhoIsWith,
    WhereHeld,
    WhereWanted,
    WhyFeels,

    // No story is needed.
    Sum,
    Comfort,
    Harmful,
    Harmless,
    Manners,
}

public static class QuestionFamilies
{
    public static IReadOnlyList<QuestionFamily> All { get; } = Enum.GetValues<QuestionFamily>();

    /// <summary>How many facts of the story have to be put together; 0 where no story is needed.</summary>
    public static int Facts(this QuestionFamily family) => family switch
    {
        >= QuestionFamily.Sum => 0,
        >= QuestionFamily.PlaceBefore => 2,
        _ => 1,
    };

    public static bool NeedsStory(this QuestionFamily family) => family.Facts() > 0;

    /// <summary>As the files spell it: <c>where_person</c>.</summary>
    public static string Name(this QuestionFamily family) => JsonNamingPolicy.SnakeCaseLower.ConvertName(family.ToString());
}
