using TorchSharp;
using TrainServe.Model;
using TrainServe.Training.Recipes;
using static TorchSharp.torch;

namespace TrainServe.Training.PreferenceOptimization;

// B pairs. Log-probabilities are of whole answers, in nats: sums over their tokens, or, for IPO, means.

/// <summary>Direct preference optimization: the policy is its own reward model, beta * log(policy / reference).</summary>
/// <remarks>
/// Rafailov et al. 2023, arXiv:2305.18290, eq. 7; label smoothing: Mitchell 2023, "A note on DPO with noisy preferences"; IPO: Azar et al. 2023, arXiv:2310.12036,
/// eq. 17, with means over tokens as in the reference code, so that beta does not depend on length.
/// </remarks>
public static class DpoLoss
{
    /// <summary>What is compared of an answer: the log-probability of the whole, or of IPO the mean of its tokens.</summary>
    /// <param name="sumsB">Over each answer's tokens.</param>
    /// <param name="tokensB">Of each answer, at least 1.</param>
    /// <param name="kind">Of the loss.</param>
    /// <returns>[B], owned by the caller.</returns>
    public static Tensor PerAnswer(Tensor sumsB, Tensor tokensB, DpoLossKind kind) => kind == DpoLossKind.Ipo ? sumsB / tokensB : sumsB.alias();

    /// <param name="policyChosenB">Of the better answers, under the weights that are trained.</param>
    /// <param name="policyRejectedB">Of the others.</param>
    /// <param name="referenceChosenB">The same under the reference.</param>
    /// <param name="referenceRejectedB">The same under the reference.</param>
    /// <param name="settings">Beta, kind, smoothing.</param>
    /// <returns>The loss of each pair, [B], owned by the caller.</returns>
    public static Tensor PerPair(Tensor policyChosenB, Tensor policyRejectedB, Tensor referenceChosenB, Tensor referenceRejectedB, DpoSection settings)
    {
        using var scope = NewDisposeScope();
        var gapB = policyChosenB - policyRejectedB - (referenceChosenB - referenceRejectedB);
        var lossB = settings.Loss == DpoLossKind.Ipo
            ? (gapB - LiveScalar.Of(1 / (2 * settings.Beta))).Squared()
            : LiveScalar.Of(settings.LabelSmoothing - 1) * nn.functional.logsigmoid(LiveScalar.Of(settings.Beta) * gapB) - LiveScalar.Of(settings.LabelSmoothing) * nn.functional.logsigmoid(LiveScalar.Of(-settings.Beta) * gapB);
        return lossB.MoveToOuterDisposeScope();
    }
}
