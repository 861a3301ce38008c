using System.Runtime.InteropServices;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TrainServe.Model.Kernels;

/// <summary>What the fast step keeps from one step to the next: bfloat16 copies of the weights, their gradients, and the products that become gradients.</summary>
/// <remarks>
/// Memory of this size that is given back and asked for again comes from the system each time, which fills it with zeros: 38 % of a step's time with 124 million weights and 256 tokens.
/// Not for two passes at once.
/// </remarks>
internal sealed partial class StepMemory : IDisposable
{
    private readonly Dictionary<Parameter, Tensor> _halves = new(ReferenceEqualityComparer.Instance), _gradients = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<(long Rows, long Columns, ScalarType Type), Tensor> _matrices = [];

    /// <summary>Whether a weight's gradient is written here, and not left to libtorch.</summary>
    public static bool Owns(Parameter weight) => weight.requires_grad && weight.is_leaf;

    /// <summary>The weight in bfloat16, as it is now.</summary>
    /// <returns>Valid until the next call for the same weight; in the caller's dispose scope.</returns>
    public Tensor Half(Parameter weight)
    {
        if (!_halves.TryGetValue(weight, out var half))
        {
            _halves[weight] = half = empty(weight.shape, ScalarType.BFloat16).DetachFromDisposeScope();
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
        var product = Rent(leftNO.shape[1], rightNI.shape[1], ScalarType.BFloat16);
        MultiplyTransposed(product, leftNO, rightNI);
        AddGradient(weight, product);
        Return(product);
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

    /// <summary>product = left^T right, written where it is.</summary>
    public static void MultiplyTransposed(Tensor product, Tensor leftNO, Tensor rightNI)
    {
        using var leftON = leftNO.t();
        if (MultiplyInto(product.Handle, leftON.Handle, rightNI.Handle) != 0)
        {
            throw new ExternalException("libtorch's matrix product failed; what it says stands above on standard error.");
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

    // libtorch's stable C interface (torch/csrc/inductor/aoti_torch/generated/c_shim_cpu.h): TorchSharp has no product into a given tensor.
    [LibraryImport("torch_cpu", EntryPoint = "aoti_torch_cpu_mm_out")]
    private static partial int MultiplyInto(nint product, nint left, nint right);
}
