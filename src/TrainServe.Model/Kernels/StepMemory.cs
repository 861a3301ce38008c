using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TrainServe.Model.Kernels;

/// <summary>What the fast step keeps from one step to the next: bfloat16 copies of the weights, their gradients, and the products that become gradients.</summary>
/// <remarks>
/// Memory of this size that is given back and asked for again comes from the system each time, which fills it with zeros: 38 % of a step's time with 124 million weights and 256 tokens.
/// Not for two passes at once.
/// </remarks>
internal sealed class StepMemory : IDisposable
{
    private readonly Dictionary<Parameter, Tensor> _halves = new(ReferenceEqualityComparer.Instance), _gradients = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<(long Rows, long Columns, ScalarType Type), Tensor> _matrices = [];

    /// <summary>Whether a weight's gradient is written here, and not left to libtorch.</summary>
    public static bool Owns(Parameter weight) => weight.requires_grad && weight.is_leaf;

    /// <summary>The weight as it is now in the type that is multiplied.</summary>
    /// <returns>Valid until the next call for the same weight; in the caller's dispose scope.</returns>
    public Tensor Values(Parameter weight, ScalarType type)
    {
        if (type == weight.dtype)
        {
            return weight.detach();
        }
        if (!_halves.TryGetValue(weight, out var half))
        {
            _halves[weight] = half = empty(weight.shape, type).DetachFromDisposeScope();
        }
        WeightKernel.Round(weight, half);
        return half.alias();
    }

    /// <summary>weight.grad += scale * product; without a gradient it becomes one.</summary>
    /// <param name="weight">That <see cref="Owns"/> is true for.</param>
    /// <param name="product">Of the weight's shape, bfloat16 or single precision.</param>
    /// <param name="scale">A factor.</param>
    public void AddGradient(Parameter weight, Tensor product, float scale = 1)
    {
        var (gradient, isNew) = Gradient(weight);
        WeightKernel.Accumulate(gradient, product, scale, adds: !isNew);
    }

    /// <summary>weight.grad += leftNO^T rightNI.</summary>
    public void AddGradient(Parameter weight, Tensor leftNO, Tensor rightNI)
    {
        var (gradient, isNew) = Gradient(weight);
        AddProduct(gradient, leftNO, rightNI, adds: !isNew);
    }

    /// <summary>sum = leftNO^T rightNI, or with it added.</summary>
    /// <param name="sum">Single precision, [O, I].</param>
    /// <param name="leftNO">In the type that is multiplied.</param>
    /// <param name="rightNI">In the same.</param>
    /// <param name="adds">Whether what is there stays.</param>
    public void AddProduct(Tensor sum, Tensor leftNO, Tensor rightNI, bool adds)
    {
        using var leftON = leftNO.t();
        if (leftNO.dtype == sum.dtype && !adds)
        {
            MatrixProduct.Write(sum, leftON, rightNI);
        }
        else if (leftNO.dtype != sum.dtype || !MatrixProduct.TryAdd(sum, leftON, rightNI))
        {
            var product = Rent(sum.shape[0], sum.shape[1], leftNO.dtype);
            MatrixProduct.Write(product, leftON, rightNI);
            WeightKernel.Accumulate(sum, product, 1, adds);
            Return(product);
        }
    }

    /// <summary>The place of a weight's gradient; new when it had none, and then its numbers are arbitrary.</summary>
    /// <returns>In the caller's dispose scope.</returns>
    public (Tensor Gradient, bool IsNew) Gradient(Parameter weight)
    {
        if (weight.grad is { } present)
        {
            return (present, false);
        }
        if (!_gradients.TryGetValue(weight, out var gradient))
        {
            _gradients[weight] = gradient = empty(weight.shape, ScalarType.Float32).DetachFromDisposeScope();
        }
        weight.grad = gradient;
        return (gradient.alias(), true);
    }

    /// <summary>A matrix with arbitrary numbers, in no dispose scope. <see cref="Return"/> it.</summary>
    public Tensor Rent(long rows, long columns, ScalarType type) => _matrices.Remove((rows, columns, type), out var kept) ? kept : empty(rows, columns, type).DetachFromDisposeScope();

    /// <summary>Keeps one of each shape.</summary>
    public void Return(Tensor matrix)
    {
        if (!_matrices.TryAdd((matrix.shape[0], matrix.shape[1], matrix.dtype), matrix))
        {
            matrix.Dispose();
        }
    }

    public void Dispose()
    {
        foreach (var tensor in _halves.Values.Concat(_gradients.Values).Concat(_matrices.Values))
        {
            tensor.Dispose();
        }
        _halves.Clear();
        _gradients.Clear();
        _matrices.Clear();
    }
}
