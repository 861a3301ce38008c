using TrainServe.Training.Data.SmallWorld.Questions;

namespace TrainServe.Training.Data.SmallWorld;

/// <summary>How a family of questions was answered. All rates are from 0 to 1.</summary>
/// <param name="Questions">How many were asked.</param>
/// <param name="Score">Answered rightly.</param>
/// <param name="Refused">Answered by a refusal.</param>
/// <param name="NeedsStory">Whether the story is needed.</param>
/// <param name="BaselineMajority">Right if every answer were the family's most frequent one.</param>
/// <param name="BaselineLastMention">Right if every answer were what the story names last of its kind.</param>
/// <param name="BaselineNoStory">Answered rightly by the same model without the story; null, and not written, where there is none.</param>
public sealed record FamilyScore(int Questions, double Score, double Refused, bool NeedsStory, double BaselineMajority, double BaselineLastMention, double? BaselineNoStory = null);

/// <summary>Asks a model the questions of an evaluation, and what it answers without having heard the stories.</summary>
public static class SmallWorldExam
{
    /// <summary>Gives the answers to prompts, in their order.</summary>
    public delegate Task<IReadOnlyList<string>> Answerer(IReadOnlyList<string> prompts, CancellationToken cancellationToken);

    /// <summary>Scores by family, in the order of the questions.</summary>
    public static async Task<IReadOnlyDictionary<string, FamilyScore>> RunAsync(IReadOnlyList<EvaluationRecord> questions, Answerer answerer, CancellationToken cancellationToken = default)
    {
        var needing = questions.Where(question => question.NeedsStory).ToList();
        var answers = await answerer([.. questions.Select(question => question.Prompt), .. needing.Select(question => question.Question)], cancellationToken);
        var asked = questions.Zip(answers).ToList();
        var without = needing.Zip(answers.Skip(questions.Count)).ToLookup(pair => pair.First.Family, StringComparer.Ordinal);
        return asked.GroupBy(pair => pair.First.Family, StringComparer.Ordinal).ToDictionary(family => family.Key, family =>
        {
            var records = family.Select(pair => pair.First).ToList();
            return new FamilyScore(
                records.Count,
                family.Average(pair => IsRight(pair.First, pair.Second) ? 1.0 : 0),
                family.Average(pair => IsRefusal(pair.Second) ? 1.0 : 0),
                records[0].NeedsStory,
                (double)records.GroupBy(record => record.Key, StringComparer.Ordinal).Max(key => key.Count()) / records.Count,
                records.Average(record => record.Key == record.LastMention ? 1.0 : 0),
                without.Contains(family.Key) ? without[family.Key].Average(pair => IsRight(pair.First, pair.Second) ? 1.0 : 0) : null);
        }, StringComparer.Ordinal);
    }

    /// <summary>A rate over all questions that need the story.</summary>
    public static double OverStories(IEnumerable<FamilyScore> families, Func<FamilyScore, double> rate)
    {
        var needing = families.Where(family => family.NeedsStory).ToList();
        return needing.Sum(family => rate(family) * family.Questions) / needing.Sum(family => family.Questions);
    }

    /// <summary>Whether an answer is one of those that count; white space, capitals and the mark at the end don't.</summary>
    public static bool IsRight(EvaluationRecord question, string answer) => question.Answers.Any(right => Plain(right) == Plain(answer));

    public static bool IsRefusal(string answer) => Plain(answer).StartsWith(Plain(PlainQuestions.Refusal), StringComparison.Ordinal);

    private static string Plain(string text) => string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)).TrimEnd('.', '?', '!').ToLowerInvariant();
}
