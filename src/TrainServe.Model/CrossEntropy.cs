using TorchSharp;
using static TorchSharp.torch;

namespace TrainServe.Model;

// B batch, T time, V vocabulary, N = B * T. Losses are in nats.

/// <summary>Next-token loss: -log softmax(logits)[target], over the positions that have a target.</summary>
public static class CrossEntropy
{
    /// <summary>The target of a position that does not count: a prompt's, or padding. Python's and TorchSharp's own default.</summary>
    public const long IgnoreIndex = -100;

    /// <summary>The mean over the positions that have a target.</summary>
    /// <param name="logitsBTV">[B, T, V]; half precision is widened to single.</param>
    /// <param name="targetsBT">Ids of the tokens that follow, int64, or <see cref="IgnoreIndex"/>, [B, T].</param>
    /// <returns>A scalar, [], owned by the caller.</returns>
    /// <exception cref="ArgumentException">No position has a target: the mean would not be a number.</exception>
    public static Tensor Mean(Tensor logitsBTV, Tensor targetsBT)
    {
        using var scope = NewDisposeScope();
        var (sum, count) = Sum(logitsBTV, targetsBT);
        return count > 0
            ? (sum / LiveScalar.Of(count)).MoveToOuterDisposeScope()
            : throw new ArgumentException("No position has a target, so there is no loss.", nameof(targetsBT));
    }

    /// <summary>The sum, and how many positions it is over; the gradient of k micro-batches is that of one batch when each sum is divided by the count of all.</summary>
    /// <param name="logitsBTV">[B, T, V]; half precision is widened to single.</param>
    /// <param name="targetsBT">Ids of the tokens that follow, int64, or <see cref="IgnoreIndex"/>, [B, T].</param>
    /// <param name="regularization">Label smoothing and z-loss.</param>
    /// <returns>The sum, [], owned by the caller: 0 when nothing counts.</returns>
    public static (Tensor Sum, long Count) Sum(Tensor logitsBTV, Tensor targetsBT, LossRegularization regularization = default)
    {
        using var scope = NewDisposeScope();
        var targetsN = targetsBT.reshape(-1);
        var logitsNV = Widened(logitsBTV.reshape(targetsN.shape[0], logitsBTV.shape[^1]));
        var sum = nn.functional.cross_entropy(logitsNV, targetsN, ignore_index: IgnoreIndex, reduction: nn.Reduction.Sum, label_smoothing: regularization.LabelSmoothing);
        if (regularization.ZLoss > 0)
        {
            var logSumN = logitsNV.logsumexp(-1);
            sum = sum.Plus(LiveScalar.Of(regularization.ZLoss) * (logSumN.Squared() * targetsN.ne(LiveScalar.Of(IgnoreIndex))).sum());
        }
        return (sum.MoveToOuterDisposeScope(), CountTargets(targetsN));
    }

    /// <summary>The loss of each position, 0 where there is no target.</summary>
    /// <returns>[B, T], owned by the caller.</returns>
    public static Tensor PerToken(Tensor logitsBTV, Tensor targetsBT)
    {
        using var scope = NewDisposeScope();
        var targetsN = targetsBT.reshape(-1);
        var logitsNV = logitsBTV.reshape(targetsN.shape[0], logitsBTV.shape[^1]);
        var lossN = nn.functional.cross_entropy(Widened(logitsNV), targetsN, ignore_index: IgnoreIndex, reduction: nn.Reduction.None);
        return lossN.view(targetsBT.shape).MoveToOuterDisposeScope();
    }

    /// <summary>How many positions have a target.</summary>
    public static long CountTargets(Tensor targets)
    {
        using var scope = NewDisposeScope();
        return targets.ne(LiveScalar.Of(IgnoreIndex)).sum().item<long>();
    }

    private static Tensor Widened(Tensor logits) => logits.dtype is ScalarType.BFloat16 or ScalarType.Float16 ? logits.to(ScalarType.Float32) : logits;
}
