using TorchSharp;
using TrainServe.Model;
using static TorchSharp.torch;

namespace TrainServe.Training.Reinforcement;

// N tokens of all answers together: prompts and padding are not among them. Log-probabilities are natural logarithms.

/// <summary>PPO's clipped objectives, summed over tokens; the caller divides by the tokens of the whole minibatch.</summary>
public static class PolicyLoss
{
    /// <summary>The clipped surrogate, negated so that lower is better.</summary>
    /// <remarks>Schulman et al. 2017, arXiv:1707.06347, eq. 7: of the clipped and the unclipped loss the larger one counts.</remarks>
    /// <param name="newLogProbsN">Under the weights being trained.</param>
    /// <param name="oldLogProbsN">Under the weights that sampled.</param>
    /// <param name="advantagesN">How much better than expected each token was.</param>
    /// <param name="clipRange">Largest useful change of the ratio.</param>
    /// <returns>A scalar, owned by the caller.</returns>
    public static Tensor Sum(Tensor newLogProbsN, Tensor oldLogProbsN, Tensor advantagesN, double clipRange)
    {
        using var scope = NewDisposeScope();
        var ratioN = (newLogProbsN - oldLogProbsN).exp();
        var plainN = -advantagesN * ratioN;
        var clippedN = -advantagesN * Clipped(ratioN, clipRange);
        return maximum(plainN, clippedN).sum().MoveToOuterDisposeScope();
    }

    /// <summary>How many tokens the clipping holds back, and the mean divergence between the two policies by the estimator k3.</summary>
    public static (double Clipped, double Divergence) Statistics(Tensor newLogProbsN, Tensor oldLogProbsN, Tensor advantagesN, double clipRange)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var differenceN = newLogProbsN - oldLogProbsN;
        var ratioN = differenceN.exp();
        var clippedN = (-advantagesN * Clipped(ratioN, clipRange)).gt(-advantagesN * ratioN);
        return (clippedN.sum().item<long>(), (ratioN - LiveScalar.Of(1) - differenceN).sum().item<float>());
    }

    /// <summary>Half the squared error of values, where a value may move no further than the clip range from the old one: the larger of both losses counts.</summary>
    /// <returns>A scalar, owned by the caller.</returns>
    public static Tensor ValueSum(Tensor valuesN, Tensor oldValuesN, Tensor returnsN, double clipRange)
    {
        using var scope = NewDisposeScope();
        var clippedN = maximum(minimum(valuesN, oldValuesN.Plus(clipRange)), oldValuesN - LiveScalar.Of(clipRange));
        return (LiveScalar.Of(0.5) * maximum((valuesN - returnsN).Squared(), (clippedN - returnsN).Squared()).sum()).MoveToOuterDisposeScope();
    }

    /// <summary>An estimate of the divergence from the reference as a loss.</summary>
    /// <remarks>
    /// Schulman 2020, "Approximating KL divergence". The gradient of k2, half the square of log(policy / reference), is in expectation that of the divergence; the gradient of k3 is
    /// not, though its value is the better estimate.
    /// </remarks>
    /// <returns>A scalar, owned by the caller.</returns>
    public static Tensor KlSum(Tensor newLogProbsN, Tensor referenceLogProbsN, Recipes.KlEstimator estimator)
    {
        using var scope = NewDisposeScope();
        var logRatioN = newLogProbsN - referenceLogProbsN;
        var klN = estimator switch
        {
            Recipes.KlEstimator.K2 => LiveScalar.Of(0.5) * logRatioN.Squared(),
            Recipes.KlEstimator.K3 => ((-logRatioN).exp() - LiveScalar.Of(1)).Plus(logRatioN),
            _ => throw new ArgumentOutOfRangeException(nameof(estimator), estimator, "k1 has no gradient of its own in a loss; it belongs into the reward."),
        };
        return klN.sum().MoveToOuterDisposeScope();
    }

    private static Tensor Clipped(Tensor ratioN, double clipRange) => ratioN.clamp(LiveScalar.Of(1 - clipRange), LiveScalar.Of(1 + clipRange));
}
