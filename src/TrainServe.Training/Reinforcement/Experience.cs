using TrainServe.Training.Alignment;

namespace TrainServe.Training.Reinforcement;

/// <summary>An answer that the policy sampled, and what is known of it. Lists by token have one number for each token of the answer.</summary>
internal sealed record Experience(EncodedPrompt Prompt, Answer Answer)
{
    /// <summary>A stop token ended it; otherwise it was cut off.</summary>
    public required bool IsEnded { get; init; }

    /// <summary>Log-probabilities as the sampler reported them: of the model's own distribution, at temperature 1.</summary>
    public required float[] SamplerLogProbs { get; init; }

    /// <summary>Under the policy that sampled, as the trainer computes them, at the rollout's temperature.</summary>
    public float[] LogProbs { get; set; } = [];

    /// <summary>The same under the reference.</summary>
    public float[] ReferenceLogProbs { get; set; } = [];

    /// <summary>Of the critic, before training on the answer.</summary>
    public float[] Values { get; set; } = [];

    /// <summary>Of the whole answer, as the objective counts it.</summary>
    public double Score { get; set; }
    public float[] Advantages { get; set; } = [];

    /// <summary>What values should have been.</summary>
    public float[] Returns { get; set; } = [];

    /// <summary>Nothing is learned from it, by the rule for truncated answers.</summary>
    public bool IsMasked { get; set; }

    /// <summary>Divergence from the reference over the answer, by the estimator k1: the sum of log(policy / reference).</summary>
    public double Kl
    {
        get
        {
            double sum = 0;
            for (int t = 0; t < LogProbs.Length; t++)
            {
                sum += (double)LogProbs[t] - ReferenceLogProbs[t];
            }
            return sum;
        }
    }
}
