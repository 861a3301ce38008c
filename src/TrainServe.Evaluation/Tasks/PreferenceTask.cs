using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.Core.Scoring;
using TrainServe.Evaluation.Baselines;
using TrainServe.Evaluation.Metrics;

namespace TrainServe.Evaluation.Tasks;

/// <summary>What was found on one pair.</summary>
/// <param name="Prompt">What both answers answer; pairs of one prompt are drawn together where an interval is sought.</param>
/// <param name="Difference">Score of the better answer less the other's.</param>
/// <param name="IsLonger">The better answer is the longer one.</param>
public sealed record PairFinding(string Prompt, double Difference, bool IsLonger)
{
    /// <summary>The file that the pair is from, without its endings.</summary>
    public string? Source { get; init; }

    /// <summary>The same of the model of words; null where there is none.</summary>
    public double? Baseline { get; init; }

    /// <summary>Whether the better answer stands in what the model was pretrained on; null where that was not asked.</summary>
    public bool? IsSeen { get; init; }
}

/// <summary>What a reward model is compared with.</summary>
public sealed record PreferenceSettings
{
    /// <summary>A model of words, trained on other pairs.</summary>
    public NGramPreferenceModel? Baseline { get; init; }

    /// <summary>What the reward model was pretrained on.</summary>
    public SeenTexts? Seen { get; init; }

    /// <summary>What the pairs are called.</summary>
    public string? Source { get; init; }
}

/// <summary>How often a reward model scores the better of two answers higher. A tie is not right.</summary>
public static class PreferenceTask
{
    public static TaskResult Run(IReadOnlyList<PreferencePair> pairs, IRewardScorer scorer, ChatTemplate template, PreferenceSettings? settings = null, CancellationToken cancellationToken = default)
    {
        var findings = Find(pairs, scorer, template, settings ?? new(), cancellationToken);
        return Of(findings, pairs.Count - findings.Count);
    }

    /// <summary>What there is to be said of each pair that fits the context.</summary>
    /// <exception cref="InvalidDataException">None does, or a score is no finite number.</exception>
    public static IReadOnlyList<PairFinding> Find(IReadOnlyList<PreferencePair> pairs, IRewardScorer scorer, ChatTemplate template, PreferenceSettings settings, CancellationToken cancellationToken = default)
    {
        int[][] chosen = [.. pairs.Select(pair => template.Encode([.. pair.Prompt, pair.Chosen]).Ids)], rejected = [.. pairs.Select(pair => template.Encode([.. pair.Prompt, pair.Rejected]).Ids)];
        int[] kept = [.. Enumerable.Range(0, pairs.Count).Where(index => Math.Max(chosen[index].Length, rejected[index].Length) <= scorer.ContextLength)];
        if (kept.Length == 0)
        {
            throw new InvalidDataException($"Of {pairs.Count} pairs none fits the reward model's context of {scorer.ContextLength} tokens.");
        }
        double[] better = RewardScores.Of(scorer, [.. kept.Select(index => chosen[index])], place => pairs[kept[place]].Origin, cancellationToken);
        double[] other = RewardScores.Of(scorer, [.. kept.Select(index => rejected[index])], place => pairs[kept[place]].Origin, cancellationToken);
        return [.. kept.Select((index, place) => new PairFinding(string.Join('\n', pairs[index].Prompt.Select(message => message.Content)), better[place] - other[place], chosen[index].Length > rejected[index].Length)
        {
            Source = settings.Source,
            Baseline = settings.Baseline is { } baseline ? baseline.Score(pairs[index].Chosen.Content) - baseline.Score(pairs[index].Rejected.Content) : null,
            IsSeen = settings.Seen?.Contain(pairs[index].Chosen.Content),
        })];
    }

    /// <summary>The rates over findings, which may be those of several folds together.</summary>
    /// <param name="findings">At least one.</param>
    /// <param name="overLong">Pairs that were left out.</param>
    public static TaskResult Of(IReadOnlyList<PairFinding> findings, int overLong)
    {
        int right = findings.Count(finding => finding.Difference > 0);
        var metrics = new Dictionary<string, double>(StringComparer.Ordinal)
        {
            ["accuracy"] = (double)right / findings.Count,
            ["ties"] = (double)findings.Count(finding => finding.Difference == 0) / findings.Count,
            ["loss"] = findings.Average(finding => Math.Max(-finding.Difference, 0) + Math.Log(1 + Math.Exp(-Math.Abs(finding.Difference)))),
            ["over_long"] = overLong,
        };
        double[] isRight = [.. findings.Select(finding => One(finding.Difference > 0))];
        var intervals = new Dictionary<string, Interval>(StringComparer.Ordinal) { ["accuracy"] = IntervalOf(isRight, findings) };
        metrics["prompts"] = findings.Select(finding => finding.Prompt).Distinct(StringComparer.Ordinal).Count();
        AddBalanced("accuracy_length_balanced", isRight, findings, metrics, intervals);
        AddSeen(findings, metrics, intervals);
        AddBaseline(findings, metrics, intervals);
        return new TaskResult { Kind = "preference", Count = findings.Count, Metrics = metrics, Intervals = intervals };
    }

    private static void AddSeen(IReadOnlyList<PairFinding> findings, Dictionary<string, double> metrics, Dictionary<string, Interval> intervals)
    {
        foreach (var group in findings.Where(finding => finding.IsSeen is not null).GroupBy(finding => finding.IsSeen!.Value).OrderBy(group => group.Key))
        {
            string name = group.Key ? "contaminated" : "clean";
            var all = group.ToList();
            metrics[$"{name}_pairs"] = all.Count;
            double[] isRight = [.. all.Select(finding => One(finding.Difference > 0))];
            metrics[$"accuracy_{name}"] = isRight.Average();
            intervals[$"accuracy_{name}"] = IntervalOf(isRight, all);
        }
    }

    private static void AddBaseline(IReadOnlyList<PairFinding> findings, Dictionary<string, double> metrics, Dictionary<string, Interval> intervals)
    {
        if (findings.Any(finding => finding.Baseline is null))
        {
            return;
        }
        double[] isRight = [.. findings.Select(finding => One(finding.Baseline > 0))];
        double[] gains = [.. findings.Zip(isRight, (finding, words) => One(finding.Difference > 0) - words)];
        metrics["baseline"] = isRight.Average();
        intervals["baseline"] = IntervalOf(isRight, findings);
        AddBalanced("baseline_length_balanced", isRight, findings, metrics, intervals);
        metrics["above_baseline"] = gains.Average();
        intervals["above_baseline"] = PairedBootstrap.Of(gains, Prompts(findings));
        AddBalanced("above_baseline_length_balanced", gains, findings, metrics, intervals);
    }

    // Half of the weight on pairs whose better answer is longer, and half on the rest: what length alone says is right half of the time.
    private static void AddBalanced(string name, double[] values, IReadOnlyList<PairFinding> findings, Dictionary<string, double> metrics, Dictionary<string, Interval> intervals)
    {
        bool[] isLonger = [.. findings.Select(finding => finding.IsLonger)];
        if (isLonger.Distinct().Count() == 2)
        {
            metrics[name] = values.Zip(isLonger).GroupBy(pair => pair.Second, pair => pair.First).Average(group => group.Average());
            intervals[name] = PairedBootstrap.Of(values, Prompts(findings), isLonger);
        }
    }

    // Pairs of one prompt are not independent: where there are such, prompts are drawn, not pairs.
    private static Interval IntervalOf(double[] isRight, IReadOnlyList<PairFinding> findings) =>
        findings.Select(finding => finding.Prompt).Distinct(StringComparer.Ordinal).Count() == findings.Count ? Interval.Wilson(isRight.Sum(), findings.Count) : PairedBootstrap.Of(isRight, Prompts(findings));

    private static string[] Prompts(IReadOnlyList<PairFinding> findings) => [.. findings.Select(finding => finding.Prompt)];

    private static double One(bool isRight) => isRight ? 1 : 0;
}
