using TorchSharp.Modules;
using TrainServe.Model;
using static TorchSharp.torch;

namespace TrainServe.Training.Optimization;

/// <summary>The gradients of all weights taken together.</summary>
public static class Gradients
{
    /// <summary>The Euclidean norm of all of them as one vector; not a finite number when one of them is not.</summary>
    public static double GlobalNorm(IEnumerable<Parameter> parameters)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        double sum = 0;
        // A GPU is asked once, for all of them.
        var squares = new List<Tensor>();
        foreach (var parameter in parameters)
        {
            if (parameter.grad is not { } gradient)
            {
                continue;
            }
            if (AdamWKernel.Supports(gradient))
            {
                sum += AdamWKernel.SumOfSquares(gradient);
            }
            else
            {
                squares.Add(gradient.to(ScalarType.Float32).Squared().sum().to(ScalarType.Float64));
            }
        }
        return Math.Sqrt(squares.Count == 0 ? sum : sum + stack(squares).sum().item<double>());
    }

    /// <summary>The sum of the squares of all weights.</summary>
    public static double SumOfSquares(IEnumerable<Parameter> parameters)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        return parameters.Sum(parameter => AdamWKernel.Supports(parameter) ? AdamWKernel.SumOfSquares(parameter) : parameter.Squared().sum().item<float>());
    }

    /// <summary>The factor that brings a norm down to a limit; 1 below it, or when the limit is 0.</summary>
    /// <remarks>Pascanu et al. 2013, arXiv:1211.5063. The small addend is PyTorch's.</remarks>
    public static double ClipFactor(double norm, double limit) => limit > 0 ? Math.Min(1, limit / (norm + 1e-6)) : 1;

    /// <summary>Removes them, so that the next backward pass writes new ones: adding to zeros instead could turn a -0 into a 0.</summary>
    public static void Clear(IEnumerable<Parameter> parameters)
    {
        using var scope = NewDisposeScope();
        foreach (var parameter in parameters)
        {
            parameter.grad = null;
        }
    }
}
