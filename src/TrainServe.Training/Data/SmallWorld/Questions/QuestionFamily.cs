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
    WhatGave,
    WhoGot,
    WhatWanted,
    WhoWanted,
    HowFeels,
    WhoFeels,
    WhyFeels,
    WhoDid,
    FirstDeed,
    CountThings,

    // The twins of the two unclear families, in stories where only one can be meant.
    ClearThing,
    ClearPerson,

    // Two facts have to be put together.
    PlaceBefore,
    WhoIsWith,
    WhereHeld,
    WhereWanted,
    WhoHasWanted,
    NextDeed,
    CountTogether,
    CountPeople,

    // The story has two that the question could mean, so that asking back is right.
    UnclearThing,
    UnclearPerson,

    // No story is needed.
    SumOneDigit,
    SumTwoDigits,
    Comfort,
    Advice,
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
        >= QuestionFamily.SumOneDigit => 0,
        >= QuestionFamily.PlaceBefore => 2,
        _ => 1,
    };

    /// <summary>As the files spell it: <c>where_person</c>.</summary>
    public static string Name(this QuestionFamily family) => JsonNamingPolicy.SnakeCaseLower.ConvertName(family.ToString());
}
