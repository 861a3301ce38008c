using TrainServe.Training.Recipes;

namespace TrainServe.Training.Reinforcement;

/// <summary>How much better each answer is than the others to the same prompt.</summary>
public static class GroupAdvantages
{
    private const double Epsilon = 1e-4;

    /// <param name="rewards">Of a whole group, at least two.</param>
    /// <param name="kind">What they are compared with; see <see cref="AdvantageKind"/>.</param>
    /// <returns>One for each answer; all 0 where all rewards are the same, since then nothing is known.</returns>
    /// <exception cref="ArgumentException">The group has a single answer.</exception>
    public static double[] Of(IReadOnlyList<double> rewards, AdvantageKind kind)
    {
        int count = rewards.Count;
        if (count < 2)
        {
            throw new ArgumentException($"A group of {count} has nothing to be compared with.", nameof(rewards));
        }
        if (rewards.All(reward => reward == rewards[0]))
        {
            return new double[count];
        }
        double mean = rewards.Average(), deviation = Math.Sqrt(rewards.Sum(reward => (reward - mean) * (reward - mean)) / (count - 1));
        return [.. rewards.Select(reward => kind switch
        {
            AdvantageKind.Grpo => (reward - mean) / (deviation + Epsilon),
            AdvantageKind.DrGrpo => reward - mean,
            // reward - (sum - reward) / (count - 1)
            AdvantageKind.Rloo => (reward - mean) * count / (count - 1),
            _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "Not a kind of advantage."),
        })];
    }
}
