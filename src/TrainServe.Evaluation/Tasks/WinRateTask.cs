using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.Core.Scoring;
using TrainServe.Core.Tokenization;
using TrainServe.Evaluation.Metrics;

namespace TrainServe.Evaluation.Tasks;

/// <summary>How often a reward model likes one model's answers better than another's to the same prompts. A tie counts half.</summary>
/// <remarks>Beside it stands what a policy that cheats its judge loses: length and variety of the answers.</remarks>
public static class WinRateTask
{
    private const int Samples = 3;

    /// <param name="prompts">To be answered.</param>
    /// <param name="model">Whose wins are counted.</param>
    /// <param name="against">The other one, of the same tokenizer.</param>
    /// <param name="judge">The reward model, of the same tokenizer.</param>
    /// <param name="tokenizer">Of all.</param>
    /// <param name="template">Of all.</param>
    /// <param name="settings">How both are sampled.</param>
    /// <param name="cancellationToken">Looked at before each token.</param>
    public static TaskResult Run(
        IReadOnlyList<Prompt> prompts, ILanguageScorer model, ILanguageScorer against, IRewardScorer judge, TextTokenizer tokenizer, ChatTemplate template, GenerationSettings settings, CancellationToken cancellationToken = default)
    {
        int[][] ours = [.. GenerationTask.AnswerIds(prompts, model, template, settings, cancellationToken)];
        int[][] theirs = [.. GenerationTask.AnswerIds(prompts, against, template, settings, cancellationToken)];
        double[] ourScores = Scores(prompts, ours, judge, template, cancellationToken), theirScores = Scores(prompts, theirs, judge, template, cancellationToken);
        double wins = ourScores.Zip(theirScores, Win).Sum();
        return new TaskResult
        {
            Kind = "win",
            Count = prompts.Count,
            Metrics = new Dictionary<string, double>(StringComparer.Ordinal)
            {
                ["win_rate"] = wins / prompts.Count,
                ["score"] = ourScores.Average(),
                ["score_against"] = theirScores.Average(),
                ["length"] = ours.Average(ids => (double)ids.Length),
                ["length_against"] = theirs.Average(ids => (double)ids.Length),
                ["distinct_2"] = DistinctPairs(ours),
                ["distinct_2_against"] = DistinctPairs(theirs),
            },
            Intervals = new Dictionary<string, Interval>(StringComparer.Ordinal) { ["win_rate"] = Interval.Wilson(wins, prompts.Count) },
            Samples = [.. Enumerable.Range(0, Math.Min(Samples, prompts.Count)).Select(i => $"{prompts[i].Messages[^1].Content} >>> {tokenizer.Decode(ours[i])} [{ourScores[i]:F2}] >>> {tokenizer.Decode(theirs[i])} [{theirScores[i]:F2}]")],
        };
    }

    internal static double Win(double ours, double theirs) => ours > theirs ? 1 : ours == theirs ? 0.5 : 0;

    /// <summary>The part of all pairs of neighbouring tokens that are different pairs.</summary>
    internal static double DistinctPairs(IEnumerable<int[]> answers)
    {
        var seen = new HashSet<(int, int)>();
        int all = 0;
        foreach (int[] ids in answers)
        {
            for (int i = 1; i < ids.Length; i++)
            {
                seen.Add((ids[i - 1], ids[i]));
                all++;
            }
        }
        return all == 0 ? 0 : (double)seen.Count / all;
    }

    // An answer is judged as a whole turn, with the token that ends it.
    private static double[] Scores(IReadOnlyList<Prompt> prompts, int[][] answers, IRewardScorer judge, ChatTemplate template, CancellationToken cancellationToken)
    {
        int[][] rows = [.. prompts.Zip(answers, (prompt, ids) => (int[])[.. template.EncodePrompt(prompt.Messages), .. ids, .. template.StopTokenIds.Take(1)])];
        return [.. judge.Score([.. rows.Select(row => row.Length > judge.ContextLength ? row[..judge.ContextLength] : row)], cancellationToken)];
    }
}
