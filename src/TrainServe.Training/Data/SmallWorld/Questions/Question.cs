using TrainServe.Training.Data.SmallWorld.State;

namespace TrainServe.Training.Data.SmallWorld.Questions;

/// <summary>A question and its true answer.</summary>
internal sealed record Question
{
    public required QuestionFamily Family { get; init; }

    public required string Text { get; init; }

    public required AnswerKind Kind { get; init; }

    /// <summary>What the answer has to name, such as "the barn".</summary>
    public required string Key { get; init; }

    /// <summary>The answer with a place for the key, such as "In {0}."</summary>
    public string Frame { get; init; } = "{0}";

    /// <summary>A word that makes a fact with the last word of the key, the fact that is asked for; none where nothing of that kind is.</summary>
    public string? Subject { get; init; }

    /// <summary>The fact that is asked for.</summary>
    public (string One, string Other)? Fact => Subject is null ? null : (Subject, Key[(Key.LastIndexOf(' ') + 1)..]);

    /// <summary>Other keys that are right as well.</summary>
    public IReadOnlyList<string> AlsoRight { get; init; } = [];

    /// <summary>How the user may answer a question back, and what is right then.</summary>
    public (string Text, string Answer)? Clarified { get; init; }

    public string Answer => AnswerWith(Key);

    /// <summary>Every answer that counts as right; the first is the one to learn.</summary>
    public IReadOnlyList<string> Accepted => [.. new[] { Key }.Concat(AlsoRight).Select(AnswerWith).Append(Key).Concat(AlsoRight).Distinct(StringComparer.Ordinal)];

    /// <summary>The answer with some key; with another key than the right one it is a wrong answer.</summary>
    public string AnswerWith(string key)
    {
        string answer = Frame.Replace("{0}", key, StringComparison.Ordinal);
        return Words.Vocabulary.Capital(answer);
    }
}
