using TorchSharp;
using static TorchSharp.torch;

namespace TrainServe.Model;

// B batch, T time, C width.

/// <summary>A block that keeps nothing but its input for the backward pass, and is computed again there.</summary>
/// <remarks>
/// Chen et al. 2016, arXiv:1604.06174: a third more computation, for memory of one block's activations and every block's input in place of all. What is computed again is the same to
/// the last bit, dropout's draws among it. The fast kernels do the same for themselves; see <see cref="Kernels.BlockFunction"/>.
/// </remarks>
internal sealed class RecomputedBlock : autograd.SingleTensorFunction<RecomputedBlock>
{
    private const string PassKey = "pass";

    /// <inheritdoc/>
    public override string Name => nameof(RecomputedBlock);

    /// <param name="xBTC">The block's input.</param>
    /// <param name="block">Computes without gradients now.</param>
    /// <param name="context">Without a cache.</param>
    /// <param name="layer">The block's number.</param>
    /// <param name="draws">Whether the block uses random numbers.</param>
    /// <returns>[B, T, C], owned by the caller.</returns>
    public static Tensor Apply(Tensor xBTC, TransformerBlock block, AttentionContext context, int layer, bool draws)
    {
        Tensor[] weights = [.. block.parameters()];
        return apply([xBTC, .. weights, new Pass(block, weights, context, layer, draws)]);
    }

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext context, params object[] inputs)
    {
        using var noGradient = no_grad();
        var (x, pass) = ((Tensor)inputs[0], (Pass)inputs[^1]);
        context.save_data(PassKey, pass);
        pass.Keep(x);
        return pass.Block.Forward(x, pass.Context, pass.Layer);
    }

    /// <inheritdoc/>
    public override List<Tensor> backward(autograd.AutogradContext context, Tensor gradientBTC)
    {
        using var pass = (Pass)context.get_data(PassKey);
        using var scope = NewDisposeScope();
        if (pass.IsSpent)
        {
            // A second backward pass: no numbers, so that the step is refused.
            return [full_like(gradientBTC, LiveScalar.Of(double.NaN)).MoveToOuterDisposeScope(), .. Enumerable.Repeat<Tensor>(null!, pass.Weights.Length + 1)];
        }
        using var gradients = enable_grad();
        var (xBTC, yBTC) = pass.Again();
        var found = autograd.grad([yBTC], [xBTC, .. pass.Weights], [gradientBTC]);
        return [.. found.Select(gradient => gradient.MoveToOuterDisposeScope()), null!];
    }

    /// <summary>What a block needs to be computed again.</summary>
    private sealed class Pass(TransformerBlock block, Tensor[] weights, AttentionContext context, int layer, bool draws) : IDisposable
    {
        private readonly List<Tensor> _kept = [];
        private Tensor? _x, _generator;
        private long _seed;

        public TransformerBlock Block => block;
        public Tensor[] Weights => weights;
        public int Layer => layer;

        /// <summary>Whose tensors live as long as this.</summary>
        public AttentionContext Context { get; private set; } = context;
        public bool IsSpent => _x is null;

        public void Keep(Tensor xBTC)
        {
            _x = Kept(xBTC.detach());
            Context = Context with { Cos = Kept(Context.Cos.alias()), Sin = Kept(Context.Sin.alias()), Mask = Context.Mask is { } mask ? Kept(mask.alias()) : null };
            if (!draws)
            {
                return;
            }
            if (xBTC.device.type == DeviceType.CPU)
            {
                _generator = Kept(get_rng_state());
                return;
            }
            // A GPU's generator cannot be asked for its state: it gets a seed for every block, drawn by the processor's.
            using var scope = NewDisposeScope();
            _seed = randint(long.MaxValue, [1], ScalarType.Int64).item<long>();
            manual_seed(_seed);
        }

        /// <returns>The input, whose gradient is wanted, and the output.</returns>
        public (Tensor X, Tensor Y) Again()
        {
            var x = _x!.detach().requires_grad_();
            if (!draws)
            {
                return (x, block.Forward(x, Context, layer));
            }
            // What is drawn after this is as if nothing had been drawn here.
            var before = get_rng_state();
            if (_generator is { } state)
            {
                set_rng_state(state);
            }
            else
            {
                manual_seed(_seed);
            }
            var y = block.Forward(x, Context, layer);
            set_rng_state(before);
            return (x, y);
        }

        public void Dispose()
        {
            _kept.ForEach(tensor => tensor.Dispose());
            _kept.Clear();
            _x = null;
        }

        private Tensor Kept(Tensor tensor)
        {
            _kept.Add(tensor.DetachFromDisposeScope());
            return tensor;
        }
    }
}
