using TrainServe.Training.Data.SmallWorld.Words;

namespace TrainServe.Training.Data.SmallWorld.Questions;

/// <summary>What kind of thing answers a question.</summary>
public enum AnswerKind
{
    Person,
    Place,
    Thing,
    Feeling,
    Number,

    /// <summary>Something that happened, as a clause.</summary>
    Event,

    /// <summary>A question back that names two possibilities.</summary>
    Choice,

    /// <summary>A sentence of its own, in questions that no story answers.</summary>
    Sentence,
}

/// <summary>A question and its true answer.</summary>
internal sealed record Question
{
    public required QuestionFamily Family { get; init; }

    public required string Text { get; init; }

    public required AnswerKind Kind { get; init; }

    /// <summary>The part of the answer that has to be found, such as "the old barn".</summary>
    public required string Key { get; init; }

    /// <summary>The sentence that answers with some key; with another key it is a wrong answer.</summary>
    public required Func<string, string> AnswerWith { get; init; }

    /// <summary>Other answers that are right as well.</summary>
    public IReadOnlyList<string> AlsoRight { get; init; } = [];

    public string Answer => AnswerWith(Key);

    public bool NeedsStory => Family.Facts() > 0;

    /// <summary>Every answer that counts as right; the first is the one to learn.</summary>
    public IReadOnlyList<string> Accepted => [.. new[] { Answer, Key }.Concat(AlsoRight).Distinct(StringComparer.Ordinal)];

    /// <summary>A frame with a place for the key, as in "Mia is in {0}."; the sentence gets its capital.</summary>
    public static Func<string, string> Frame(string frame) => key => Grammar.Capital(frame.Replace("{0}", key, StringComparison.Ordinal));
}
