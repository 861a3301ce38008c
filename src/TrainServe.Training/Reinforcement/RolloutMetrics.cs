using System.Globalization;
using TrainServe.Core.Tokenization;

namespace TrainServe.Training.Reinforcement;

/// <summary>What a step's answers looked like.</summary>
internal static class RolloutMetrics
{
    private const int Samples = 2;

    public static Dictionary<string, double> Of(IReadOnlyList<Experience> experiences, IReadOnlyList<double> rewards, UpdateSummary updates, float temperature)
    {
        double tokens = experiences.Sum(experience => (double)experience.Answer.Length), mean = rewards.Average(), kl = experiences.Average(experience => experience.Kl);
        var scalars = new Dictionary<string, double>(StringComparer.Ordinal)
        {
            ["reward"] = mean,
            ["kl"] = kl,
            ["length"] = tokens / experiences.Count,
            ["entropy"] = updates.Entropy / Math.Max(1, updates.Tokens),
            ["reward_deviation"] = Math.Sqrt(rewards.Average(reward => (reward - mean) * (reward - mean))),
            ["kl_per_token"] = kl * experiences.Count / tokens,
            ["ended"] = experiences.Average(experience => experience.IsEnded ? 1.0 : 0),
            ["distinct_2"] = DistinctPairs(experiences),
            ["policy_loss"] = updates.PolicyLoss / Math.Max(1, updates.Tokens),
            ["clip_fraction"] = updates.Clipped / Math.Max(1, updates.Tokens),
            ["approximate_kl"] = updates.Divergence / Math.Max(1, updates.Tokens),
            ["first_clip_fraction"] = updates.FirstClipFraction ?? 0,
            ["first_approximate_kl"] = updates.FirstDivergence,
            ["updates"] = updates.Updates,
        };
        if (temperature == 1)
        {
            // The sampler's cache and the trainer's whole rows are two ways to the same number.
            scalars["sampler_difference"] = experiences.Max(experience => experience.LogProbs.Zip(experience.SamplerLogProbs, (ours, theirs) => Math.Abs(ours - theirs)).DefaultIfEmpty().Max());
        }
        return scalars;
    }

    public static Dictionary<string, string> Texts(IReadOnlyList<Experience> experiences, IReadOnlyList<double> rewards, TextTokenizer tokenizer) =>
        experiences.Take(Samples).Select((experience, index) => (Key: $"sample_{index + 1}", Value: string.Create(CultureInfo.InvariantCulture,
            $"{tokenizer.Decode(experience.Answer.Ids.AsSpan(0, experience.Answer.PromptLength), skipSpecial: false)} >>> {tokenizer.Decode(experience.Answer.AnswerIds, skipSpecial: false)} [{rewards[index]:F3}]")))
        .ToDictionary(StringComparer.Ordinal);

    // Different pairs of neighbouring tokens among all: falls when answers become alike.
    private static double DistinctPairs(IReadOnlyList<Experience> experiences)
    {
        var seen = new HashSet<(int, int)>();
        int all = 0;
        foreach (var experience in experiences)
        {
            var ids = experience.Answer.AnswerIds;
            for (int i = 1; i < ids.Length; i++)
            {
                seen.Add((ids[i - 1], ids[i]));
                all++;
            }
        }
        return all == 0 ? 0 : (double)seen.Count / all;
    }
}
