using TorchSharp;
using TrainServe.Model;
using static TorchSharp.torch;

namespace TrainServe.Training.RewardModeling;

// B pairs.

/// <summary>The negative logarithm of the probability that the better answer is preferred, -log sigmoid(chosen - rejected - margin), summed over the pairs.</summary>
/// <remarks>Bradley and Terry 1952; for language models Ouyang et al. 2022, arXiv:2203.02155, eq. 1; the margin: Touvron et al. 2023, arXiv:2307.09288, eq. 2.</remarks>
public static class PreferenceLoss
{
    /// <param name="chosenB">Scores of the better answers.</param>
    /// <param name="rejectedB">Scores of the others.</param>
    /// <param name="marginB">By how much the first should be above the second.</param>
    /// <returns>A scalar, nats, owned by the caller.</returns>
    public static Tensor Sum(Tensor chosenB, Tensor rejectedB, Tensor marginB)
    {
        using var scope = NewDisposeScope();
        // logsigmoid stays finite where log(1 + exp(x)) overflows.
        return (-nn.functional.logsigmoid(chosenB - rejectedB - marginB)).sum().MoveToOuterDisposeScope();
    }

    /// <summary>The same along the answers, without margins: each pair's mean over the places that are compared.</summary>
    /// <param name="chosenN">Scores of the better answers at each place, N places of all pairs together.</param>
    /// <param name="rejectedN">Scores of the others at the same places.</param>
    /// <param name="weightsN">One over the number of places of the pair that a place is of.</param>
    /// <returns>A scalar, nats, owned by the caller.</returns>
    public static Tensor AlongSum(Tensor chosenN, Tensor rejectedN, Tensor weightsN)
    {
        using var scope = NewDisposeScope();
        return (-(nn.functional.logsigmoid(chosenN - rejectedN) * weightsN)).sum().MoveToOuterDisposeScope();
    }

    /// <summary>The square of each pair's mean score, summed: it pulls scores to 0, which the loss alone leaves free.</summary>
    /// <remarks>Eisenstein et al. 2023, arXiv:2312.09244, section 2; the mean instead of their sum only changes what the weight means.</remarks>
    /// <returns>A scalar, owned by the caller.</returns>
    public static Tensor Centering(Tensor chosenB, Tensor rejectedB)
    {
        using var scope = NewDisposeScope();
        return (chosenB.Plus(rejectedB) / LiveScalar.Of(2)).Squared().sum().MoveToOuterDisposeScope();
    }
}
