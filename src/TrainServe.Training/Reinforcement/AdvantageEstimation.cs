namespace TrainServe.Training.Reinforcement;

/// <summary>Rewards by token, and how much better than expected each token was.</summary>
public static class AdvantageEstimation
{
    /// <summary>The reward of each token: less the divergence that it adds, and at the last token the answer's score.</summary>
    /// <param name="logProbs">Under the policy, nats.</param>
    /// <param name="referenceLogProbs">Under the reference.</param>
    /// <param name="klCoefficient">Reward subtracted for each nat.</param>
    /// <param name="score">Of the whole answer.</param>
    /// <remarks>Ziegler et al. 2019, arXiv:1909.08593, eq. 2, spread over the tokens; the estimator is k1, log(policy / reference).</remarks>
    public static float[] Rewards(ReadOnlySpan<float> logProbs, ReadOnlySpan<float> referenceLogProbs, double klCoefficient, double score)
    {
        var rewards = new float[logProbs.Length];
        for (int t = 0; t < rewards.Length; t++)
        {
            rewards[t] = (float)(-klCoefficient * ((double)logProbs[t] - referenceLogProbs[t]) + (t == rewards.Length - 1 ? score : 0));
        }
        return rewards;
    }

    /// <summary>Generalized advantage estimation; past the end of the answer every value is 0.</summary>
    /// <remarks>Schulman et al. 2016, arXiv:1506.02438, eq. 16: the sum of (gamma lambda)^l times delta at t + l, delta being r + gamma V' - V.</remarks>
    public static float[] Advantages(ReadOnlySpan<float> rewards, ReadOnlySpan<float> values, double gamma, double lambda)
    {
        var advantages = new float[rewards.Length];
        double advantage = 0, next = 0;
        for (int t = rewards.Length - 1; t >= 0; t--)
        {
            double delta = rewards[t] + gamma * next - values[t];
            advantage = delta + gamma * lambda * advantage;
            advantages[t] = (float)advantage;
            next = values[t];
        }
        return advantages;
    }

    /// <summary>Divides numbers of several answers by their standard deviation over all of them, and moves their mean to 0 if that is wanted.</summary>
    /// <param name="byAnswer">Changed in place. There is no padding among them.</param>
    /// <param name="shiftMean">Whether the mean becomes 0; otherwise it stays.</param>
    /// <remarks>The variance is the unbiased one, and 1e-8 is added to it, as in TRL.</remarks>
    public static void Whiten(IReadOnlyList<float[]> byAnswer, bool shiftMean)
    {
        long count = byAnswer.Sum(values => (long)values.Length);
        double mean = byAnswer.Sum(values => values.Sum(value => (double)value)) / Math.Max(1, count);
        double variance = byAnswer.Sum(values => values.Sum(value => (value - mean) * (value - mean))) / Math.Max(1, count - 1);
        double factor = 1 / Math.Sqrt(variance + 1e-8), shift = shiftMean ? 0 : mean;
        foreach (float[] values in byAnswer)
        {
            for (int t = 0; t < values.Length; t++)
            {
                values[t] = (float)((values[t] - mean) * factor + shift);
            }
        }
    }
}
