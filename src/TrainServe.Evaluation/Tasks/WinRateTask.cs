using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.Core.Scoring;
using TrainServe.Core.Tokenization;
using TrainServe.Evaluation.Metrics;

namespace TrainServe.Evaluation.Tasks;

/// <summary>How often a reward model likes one model's answers better than another's to the same prompts. A tie counts half.</summary>
/// <remarks>
/// Beside it stands what a policy that cheats its judge loses: length and variety of the answers, and how far it went. The divergence is the mean over the model's own answers of
/// log(model / other), nats; it is that of the distributions which the answers come from where they are sampled at temperature 1. Answers
/// that are longer than the judge reads are cut, and counted as <c>cut_for_judge</c>.
/// </remarks>
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
        int cut = 0;
        double[] ourScores = Scores(ours), theirScores = Scores(theirs);
        var (perAnswer, perToken) = Divergence(prompts, ours, model, against, template, settings, cancellationToken);
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
                ["ended"] = Ended(ours, settings),
                ["ended_against"] = Ended(theirs, settings),
                ["distinct_1"] = Distinct(ours, 1),
                ["distinct_1_against"] = Distinct(theirs, 1),
                ["distinct_2"] = Distinct(ours, 2),
                ["distinct_2_against"] = Distinct(theirs, 2),
                ["distinct_3"] = Distinct(ours, 3),
                ["distinct_3_against"] = Distinct(theirs, 3),
                ["divergence"] = perAnswer,
                ["divergence_per_token"] = perToken,
                ["cut_for_judge"] = cut,
            },
            Intervals = new Dictionary<string, Interval>(StringComparer.Ordinal) { ["win_rate"] = Interval.Wilson(wins, prompts.Count) },
            Samples = [.. Enumerable.Range(0, Math.Min(Samples, prompts.Count)).Select(i => $"{prompts[i].Messages[^1].Content} >>> {tokenizer.Decode(ours[i])} [{ourScores[i]:F2}] >>> {tokenizer.Decode(theirs[i])} [{theirScores[i]:F2}]")],
        };

        // An answer is judged as a whole turn, with the token that ends it, as far as the judge reads.
        double[] Scores(int[][] answers)
        {
            int[][] rows = [.. prompts.Zip(answers, (prompt, ids) => (int[])[.. template.EncodePrompt(prompt.Messages), .. ids, .. template.StopTokenIds.Take(1)])];
            cut += rows.Count(row => row.Length > judge.ContextLength);
            return RewardScores.Of(judge, [.. rows.Select(row => row.Length > judge.ContextLength ? row[..judge.ContextLength] : row)], index => prompts[index].Origin, cancellationToken);
        }
    }

    internal static double Win(double ours, double theirs) => ours > theirs ? 1 : ours == theirs ? 0.5 : 0;

    /// <summary>The part of all runs of <paramref name="length"/> neighbouring tokens that are different runs.</summary>
    /// <remarks>distinct-n of Li et al. 2016, arXiv:1510.03055, section 5.3. More answers have fewer new runs: compare as many of like length.</remarks>
    internal static double Distinct(IEnumerable<int[]> answers, int length)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        int all = 0;
        foreach (int[] ids in answers)
        {
            for (int i = 0; i + length <= ids.Length; i++)
            {
                seen.Add(string.Join(' ', ids[i..(i + length)]));
                all++;
            }
        }
        return all == 0 ? 0 : (double)seen.Count / all;
    }

    private static double Ended(int[][] answers, GenerationSettings settings) => answers.Average(ids => ids.Length < settings.MaxNewTokens ? 1.0 : 0);

    // With the token that ends the answer, where one did.
    private static (double PerAnswer, double PerToken) Divergence(
        IReadOnlyList<Prompt> prompts, int[][] answers, ILanguageScorer model, ILanguageScorer against, ChatTemplate template, GenerationSettings settings, CancellationToken cancellationToken)
    {
        ScoringRequest[] requests = [.. prompts.Zip(answers, (prompt, ids) => new ScoringRequest(template.EncodePrompt(prompt.Messages), ids.Length < settings.MaxNewTokens ? [.. ids, .. template.StopTokenIds.Take(1)] : ids))];
        double sum = model.Score(requests, cancellationToken).Zip(against.Score(requests, cancellationToken), (ours, theirs) => ours.Sum - theirs.Sum).Sum();
        return (sum / requests.Length, sum / requests.Sum(request => request.Continuation.Length));
    }
}
