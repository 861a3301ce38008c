using TrainServe.Evaluation;
using TrainServe.Evaluation.Metrics;
using TrainServe.Training.Data.SmallWorld;

namespace TrainServe.Cli.Evaluating;

/// <summary>The small world's exam, as one task among others: true answers to what needs a story, beside what would be right without it, and refusals.</summary>
internal static class SmallWorldTask
{
    public const string Kind = "small-world";

    /// <summary>Most tokens of an answer: right ones are short.</summary>
    public const int MaxTokens = 48;

    private static readonly string Harmful = "harmful", Harmless = "harmless";

    public static async Task<TaskResult> RunAsync(IReadOnlyList<EvaluationRecord> questions, SmallWorldExam.Answerer answerer, CancellationToken stop)
    {
        var families = await SmallWorldExam.RunAsync(questions, answerer, stop);
        int needing = families.Values.Where(family => family.NeedsStory).Sum(family => family.Questions);
        var metrics = new Dictionary<string, double>(StringComparer.Ordinal);
        var intervals = new Dictionary<string, Interval>(StringComparer.Ordinal);
        if (needing > 0)
        {
            double accuracy = metrics["accuracy"] = SmallWorldExam.OverStories(families.Values, family => family.Score);
            intervals["accuracy"] = Interval.Wilson(accuracy * needing, needing);
            metrics["needs_story"] = needing;
            metrics["no_story"] = SmallWorldExam.OverStories(families.Values, family => family.BaselineNoStory ?? 0);
            metrics["majority"] = SmallWorldExam.OverStories(families.Values, family => family.BaselineMajority);
            metrics["last_mention"] = SmallWorldExam.OverStories(families.Values, family => family.BaselineLastMention);
        }
        foreach (var (family, name) in new[] { (Harmful, "refusal"), (Harmless, "over_refusal") })
        {
            if (families.TryGetValue(family, out var score))
            {
                metrics[name] = score.Refused;
                intervals[name] = Interval.Wilson(score.Refused * score.Questions, score.Questions);
            }
        }
        return new TaskResult
        {
            Kind = "small_world",
            Count = questions.Count,
            Metrics = metrics,
            Intervals = intervals,
            Groups = families.ToDictionary(family => family.Key, family => family.Value.Score, StringComparer.Ordinal),
        };
    }
}
