using static TorchSharp.torch;

namespace TrainServe.Model.Kernels;

// N rows, C width.

/// <summary>The norm behind the last block. Twin: <see cref="RmsNorm"/>.</summary>
internal sealed unsafe class NormFunction : autograd.SingleTensorFunction<NormFunction>
{
    private const string StateKey = "state";

    /// <inheritdoc/>
    public override string Name => nameof(NormFunction);

    /// <param name="x">Single precision, any shape that ends in C.</param>
    /// <param name="norm">Its weight.</param>
    /// <returns>The same shape, owned by the caller.</returns>
    public static Tensor Apply(Tensor x, RmsNorm norm)
    {
        if (is_grad_enabled())
        {
            return apply(x, norm.Weight, norm.Epsilon);
        }
        var (result, state) = Forward(x, norm.Weight, norm.Epsilon);
        state.X.Dispose();
        state.Inverse.Dispose();
        return result;
    }

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext context, params object[] inputs)
    {
        var (result, state) = Forward((Tensor)inputs[0], (Tensor)inputs[1], (float)inputs[2]);
        context.save_data(StateKey, state);
        return result;
    }

    /// <inheritdoc/>
    public override List<Tensor> backward(autograd.AutogradContext context, Tensor gradient)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var (x, inverse, weight) = (State)context.get_data(StateKey);
        if (x.IsInvalid)
        {
            return SpentGradients.Of(gradient.shape, inputs: 3);
        }
        int width = (int)x.shape[^1], rows = (int)(x.numel() / width);
        Tensor result = empty_like(x), partial = empty(NormKernel<Float32>.Chunks(rows), width, ScalarType.Float32);
        NormKernel<Float32>.Backward(new NormArguments<Float32>
        {
            Input = Single(x), Weight = Single(weight), Inverse = Single(inverse), NormalGradient = Lanes.Of<Float32>(gradient.contiguous()), InputGradient = Single(result), WeightGradients = Single(partial),
            Rows = rows, Width = width,
        });
        x.Dispose();
        inverse.Dispose();
        return [result.MoveToOuterDisposeScope(), partial.sum(new long[] { 0 }).MoveToOuterDisposeScope(), null!];
    }

    private static (Tensor Result, State State) Forward(Tensor input, Tensor weight, float epsilon)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var x = input.contiguous();
        int width = (int)x.shape[^1], rows = (int)(x.numel() / width);
        Tensor y = empty_like(x), inverse = empty(rows, ScalarType.Float32);
        NormKernel<Float32>.Forward(new NormArguments<Float32>
        {
            Input = Single(x), Weight = Single(weight), Inverse = Single(inverse), Normal = Lanes.Of<Float32>(y), Epsilon = epsilon, Rows = rows, Width = width,
        });
        return (y.MoveToOuterDisposeScope(), new State(x.DetachFromDisposeScope(), inverse.DetachFromDisposeScope(), weight));
    }

    private static float* Single(Tensor tensor) => (float*)Lanes.Pointer(tensor);

    private sealed record State(Tensor X, Tensor Inverse, Tensor Weight);
}
