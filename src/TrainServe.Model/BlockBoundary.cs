using static TorchSharp.torch;

namespace TrainServe.Model;

/// <summary>Passes a block's input on unchanged; in backward it tells that the gradients of that block, and of all behind it, are complete.</summary>
/// <remarks>So that processes that train together can begin to add them while earlier blocks are still computed.</remarks>
internal sealed class BlockBoundary : autograd.SingleTensorFunction<BlockBoundary>
{
    private const string NoticeKey = "notice";

    /// <inheritdoc/>
    public override string Name => nameof(BlockBoundary);

    /// <param name="xBTC">The block's input.</param>
    /// <param name="layer">The block.</param>
    /// <param name="notice">Is called with the block; it must not throw, since no exception can pass through libtorch.</param>
    /// <returns>The same values, owned by the caller.</returns>
    public static Tensor Apply(Tensor xBTC, int layer, Action<int> notice) => apply(xBTC, () => notice(layer));

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext context, params object[] inputs)
    {
        context.save_data(NoticeKey, inputs[1]);
        return ((Tensor)inputs[0]).alias();
    }

    /// <inheritdoc/>
    public override List<Tensor> backward(autograd.AutogradContext context, Tensor gradient)
    {
        ((Action)context.get_data(NoticeKey))();
        return [gradient.alias(), null!];
    }
}
