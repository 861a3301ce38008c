using static TorchSharp.torch;

namespace TrainServe.Model.Kernels;

// B batch, T time, N = B * T, C width, F inner width, H query heads, K key-value heads, D head size.
// The residual stream and all sums are single precision; what the matrices multiply is bfloat16 or single precision too.

/// <summary>A whole block, forward and backward by hand: matrices by libtorch, everything between them by the kernels. Twin: <see cref="TransformerBlock"/>; of what is computed again <see cref="RecomputedBlock"/>.</summary>
internal sealed class BlockFunction : autograd.SingleTensorFunction<BlockFunction>
{
    private const string StateKey = "state";

    /// <inheritdoc/>
    public override string Name => nameof(BlockFunction);

    /// <returns>[B, T, C], owned by the caller.</returns>
    public static Tensor Apply(Tensor xBTC, TransformerBlock block, BlockCall call)
    {
        object[] inputs = [xBTC, block.AttentionNorm.Weight, block.Attention.Qkv, block.Attention.Output, block.FeedForwardNorm.Weight, block.FeedForward.GateUp, block.FeedForward.Down, call];
        if (is_grad_enabled())
        {
            return apply(inputs);
        }
        inputs[^1] = call with { Memory = null };
        // Nothing will ask for what is kept for backward, and so nothing would free it.
        var (result, state) = Forward(inputs);
        state.Dispose();
        return result;
    }

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext context, params object[] inputs)
    {
        var (result, state) = Forward(inputs);
        context.save_data(StateKey, state);
        return result;
    }

    /// <inheritdoc/>
    public override List<Tensor> backward(autograd.AutogradContext context, Tensor gradientBTC)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        using var state = (IBlockState)context.get_data(StateKey);
        if (state.IsSpent)
        {
            return SpentGradients.Of(gradientBTC.shape, inputs: 8);
        }
        var gradients = state.Backward(gradientBTC.contiguous());
        foreach (var gradient in gradients)
        {
            gradient?.MoveToOuterDisposeScope();
        }
        return [.. gradients.Select(gradient => gradient!), null!];
    }

    private static (Tensor Result, IBlockState State) Forward(object[] inputs)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var call = (BlockCall)inputs[7];
        IBlockState state = call.Matrices == ScalarType.BFloat16 ? State<BFloat16>(inputs, call) : State<Float32>(inputs, call);
        var result = state.Forward().MoveToOuterDisposeScope();
        if (call.Recomputes)
        {
            state.Forget();
        }
        return (result, state);
    }

    private static BlockState<T> State<T>(object[] inputs, BlockCall call) where T : unmanaged, IStoredNumber<T>
    {
        Matrix Of(int input) => Matrix.Of((Tensor)inputs[input], T.Type, call.Memory);
        return new BlockState<T>(call)
        {
            X = ((Tensor)inputs[0]).contiguous(),
            AttentionNorm = (Tensor)inputs[1],
            Qkv = Of(2),
            Output = Of(3),
            FeedForwardNorm = (Tensor)inputs[4],
            GateUp = Of(5),
            Down = Of(6),
        };
    }
}
