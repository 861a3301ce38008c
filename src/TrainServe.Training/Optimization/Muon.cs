using TrainServe.Model;
using TrainServe.Model.Kernels;
using static TorchSharp.torch;

namespace TrainServe.Training.Optimization;

// R rows, C columns of one matrix.

/// <summary>Momentum whose update is made orthogonal: every direction of a matrix moves by the same length.</summary>
/// <remarks>
/// Jordan et al. 2024, kellerjordan.github.io/posts/muon: Nesterov momentum, then five Newton-Schulz steps. The factor 0.2 sqrt(max(R, C)) gives updates AdamW's usual
/// size, so that both share a learning rate and a weight decay: Liu et al. 2025, arXiv:2502.16982, section 2.2. For hidden matrices; the rest is left to AdamW.
/// </remarks>
internal static class Muon
{
    private const int Iterations = 5;
    private const double First = 3.4445, Third = -4.7750, Fifth = 2.0315, Size = 0.2;

    /// <param name="weight">Changed.</param>
    /// <param name="momentum">Changed.</param>
    /// <param name="gradient">Of the weight.</param>
    /// <param name="parts">Rows of each matrix that is fused in the weight: each is made orthogonal by itself.</param>
    /// <param name="gradientScale">What the gradient is multiplied by.</param>
    /// <param name="beta">Of the momentum.</param>
    /// <param name="learningRate">Of this step.</param>
    /// <param name="weightDecay">Decoupled, as AdamW's.</param>
    public static void Update(Tensor weight, Tensor momentum, Tensor gradient, IReadOnlyList<long> parts, double gradientScale, double beta, double learningRate, double weightDecay)
    {
        using var scope = NewDisposeScope();
        momentum.mul_(LiveScalar.Of(beta)).add_(gradient, alpha: LiveScalar.Of(gradientScale));
        var ahead = (momentum * LiveScalar.Of(beta)).Plus(gradient * LiveScalar.Of(gradientScale));
        weight.mul_(LiveScalar.Of(1 - learningRate * weightDecay));
        long first = 0;
        foreach (long rows in parts)
        {
            weight.narrow(0, first, rows).add_(Orthogonalized(ahead.narrow(0, first, rows)), alpha: LiveScalar.Of(-learningRate * Size * Math.Sqrt(Math.Max(rows, weight.shape[1]))));
            first += rows;
        }
    }

    /// <summary>The nearest matrix whose singular values are about 1: between 0.7 and 1.2.</summary>
    /// <returns>[R, C], owned by the caller.</returns>
    internal static Tensor Orthogonalized(Tensor matrixRC)
    {
        using var scope = NewDisposeScope();
        bool isTall = matrixRC.shape[0] > matrixRC.shape[1];
        var x = isTall ? matrixRC.t() : matrixRC;
        x = (x / x.norm().Plus(1e-7)).to(Lanes.IsSupported ? ScalarType.BFloat16 : ScalarType.Float32);
        for (int i = 0; i < Iterations; i++)
        {
            var gram = mm(x, x.t());
            x = (x * LiveScalar.Of(First)).Plus(mm((gram * LiveScalar.Of(Third)).Plus(mm(gram, gram) * LiveScalar.Of(Fifth)), x));
        }
        return (isTall ? x.t() : x).to(ScalarType.Float32).MoveToOuterDisposeScope();
    }
}
