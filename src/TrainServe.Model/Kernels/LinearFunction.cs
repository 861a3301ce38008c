using static TorchSharp.torch;

namespace TrainServe.Model.Kernels;

// N positions, I and O columns.

/// <summary>x times a weight's transpose in single precision, by <see cref="MatrixProduct"/>. Twin: libtorch's linear.</summary>
internal sealed class LinearFunction : autograd.SingleTensorFunction<LinearFunction>
{
    private const string CallKey = "call";

    /// <inheritdoc/>
    public override string Name => nameof(LinearFunction);

    /// <param name="x">Single precision, any shape that ends in I.</param>
    /// <param name="weight">[O, I]</param>
    /// <returns>The same shape ending in O, owned by the caller.</returns>
    public static Tensor Apply(Tensor x, Tensor weight) => is_grad_enabled() && (x.requires_grad || weight.requires_grad) ? apply(x, weight) : Product(x, weight);

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext context, params object[] inputs)
    {
        using var noGradient = no_grad();
        var (x, weight) = ((Tensor)inputs[0], (Tensor)inputs[1]);
        context.save_data(CallKey, new Call(x.detach().DetachFromDisposeScope(), weight, x.requires_grad, weight.requires_grad));
        return Product(x, weight);
    }

    /// <inheritdoc/>
    public override List<Tensor> backward(autograd.AutogradContext context, Tensor gradient)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var (x, weight, wantsX, wantsWeight) = (Call)context.get_data(CallKey);
        if (x.IsInvalid)
        {
            return SpentGradients.Of([.. gradient.shape[..^1], weight.shape[1]], inputs: 2);
        }
        Tensor gradientNO = Rows(gradient), xNI = Rows(x);
        var xGradient = wantsX ? MatrixProduct.Of(gradientNO, weight.detach()).view(x.shape).MoveToOuterDisposeScope() : null;
        var weightGradient = wantsWeight ? MatrixProduct.Of(gradientNO.t(), xNI).MoveToOuterDisposeScope() : null;
        x.Dispose();
        return [xGradient!, weightGradient!];
    }

    private static Tensor Product(Tensor x, Tensor weight)
    {
        using var scope = NewDisposeScope();
        return MatrixProduct.Of(Rows(x.detach()), weight.detach().t()).view([.. x.shape[..^1], weight.shape[0]]).MoveToOuterDisposeScope();
    }

    private static Tensor Rows(Tensor x) => x.reshape(-1, x.shape[^1]);

    private sealed record Call(Tensor X, Tensor Weight, bool WantsX, bool WantsWeight);
}
