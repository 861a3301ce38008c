using static TorchSharp.torch;

namespace TrainServe.Model.Kernels;

// B batch, T time, N = B * T, C width, F inner width, H query heads, K key-value heads, D head size.

/// <summary>What a block keeps between forward and backward, and both of them.</summary>
internal sealed unsafe class BlockState(BlockCall call) : IDisposable
{
    private readonly List<Tensor> _inputs = [], _kept = [];
    private Tensor? _normal1, _qkv, _logSum, _attended, _stream, _normal2, _gateUp, _inverse1, _inverse2;

    /// <summary>The residual stream that comes in, single precision, [B, T, C].</summary>
    public required Tensor X { get; init; }

    /// <summary>Weights of the norms, single precision, [C].</summary>
    public required Tensor AttentionNorm { get; init; }
    public required Tensor FeedForwardNorm { get; init; }

    /// <summary>The matrices in bfloat16.</summary>
    public required Matrix Qkv { get; init; }
    public required Matrix Output { get; init; }
    public required Matrix GateUp { get; init; }
    public required Matrix Down { get; init; }

    /// <summary>Whether the gradient was computed already, so that what it needs is gone.</summary>
    public bool IsSpent => _inputs.Count == 0;

    /// <summary>What a second backward pass gives: no numbers, so that the step is refused. An exception cannot pass through libtorch; it would end the process.</summary>
    /// <param name="shape">Of the first input.</param>
    /// <param name="inputs">How many the function has.</param>
    public static List<Tensor> Spent(long[] shape, int inputs) => [full(shape, LiveScalar.Of(double.NaN), ScalarType.Float32).DetachFromDisposeScope(), .. Enumerable.Repeat<Tensor>(null!, inputs - 1)];

    private int Batch => (int)X.shape[0];
    private int Time => (int)X.shape[1];
    private int Width => (int)X.shape[2];
    private int Rows => Batch * Time;
    private int Inner => (int)Down.Half.shape[1];

    /// <returns>The residual stream that goes out, [B, T, C], in the caller's dispose scope.</returns>
    public Tensor Forward()
    {
        foreach (var tensor in (ReadOnlySpan<Tensor>)[X, Qkv.Half, Output.Half, GateUp.Half, Down.Half])
        {
            _inputs.Add(tensor.DetachFromDisposeScope());
        }
        Compute();
        var inner = Half(Rows, Inner);
        SwiGluKernel.Forward(BFloat16(_gateUp!), BFloat16(inner), Rows, Inner);
        var added = mm(inner, Down.Half.t());
        var result = empty_like(X);
        ResidualKernel.Add(Single(_stream!), BFloat16(added), Single(result), Rows * Width, call.Pass.Mask(call.Layer, 1));
        return result;
    }

    // Everything that backward needs.
    private void Compute()
    {
        (_normal1, _inverse1) = (Kept(Half(Rows, Width)), Kept(Full(Rows)));
        NormKernel.Forward(new NormArguments
        {
            Input = Single(X), Weight = Single(AttentionNorm), Inverse = Single(_inverse1), Half = BFloat16(_normal1), Epsilon = call.Epsilon, Rows = Rows, Width = Width,
        });
        _qkv = Kept(mm(_normal1, Qkv.Half.t()));
        (_attended, _logSum) = (Kept(Half(Rows, (long)call.Heads * call.HeadDim)), Kept(Full((long)Rows * call.Heads)));
        fixed (int* first = call.Pass.First)
        {
            AttentionKernel.Forward(Attention(first));
        }
        var branch = mm(_attended, Output.Half.t());
        (_stream, _normal2, _inverse2) = (Kept(empty_like(X)), Kept(Half(Rows, Width)), Kept(Full(Rows)));
        NormKernel.Forward(new NormArguments
        {
            Input = Single(X), Branch = BFloat16(branch), Sum = Single(_stream), Weight = Single(FeedForwardNorm), Inverse = Single(_inverse2), Half = BFloat16(_normal2),
            Dropout = call.Pass.Mask(call.Layer, 0), Epsilon = call.Epsilon, Rows = Rows, Width = Width,
        });
        _gateUp = Kept(mm(_normal2, GateUp.Half.t()));
    }

    /// <summary>Frees everything but the inputs; <see cref="Backward"/> computes it again, with the same masks.</summary>
    public void Forget()
    {
        _kept.ForEach(tensor => tensor.Dispose());
        _kept.Clear();
        _normal1 = _qkv = _logSum = _attended = _stream = _normal2 = _gateUp = _inverse1 = _inverse2 = null;
    }

    /// <param name="gradientBTC">Of the result, single precision, contiguous.</param>
    /// <returns>Gradients of the stream and of the six weights in the order of <see cref="BlockFunction.Apply"/>, single precision; null for those that the step's memory has.</returns>
    public List<Tensor?> Backward(Tensor gradientBTC)
    {
        if (_normal1 is null)
        {
            Compute();
        }
        var added = Half(Rows, Width);
        ResidualKernel.Split(Single(gradientBTC), BFloat16(added), Rows * Width, call.Pass.Mask(call.Layer, 1));
        Tensor inner = mm(added, Down.Half), gateUp = empty_like(_gateUp!);
        SwiGluKernel.Backward(BFloat16(_gateUp!), BFloat16(inner), BFloat16(gateUp), Rows, Inner);
        // From here inner is what forward multiplied by the matrix.
        var downGradient = WeightGradient(Down, added, inner);
        var normal2 = mm(gateUp, GateUp.Half);
        var gateUpGradient = WeightGradient(GateUp, gateUp, _normal2!);
        Tensor stream = empty_like(X), branch = Half(Rows, Width);
        var norm2Gradient = NormBackward(_stream!, _inverse2!, FeedForwardNorm, normal2, gradientBTC, stream, branch);

        Tensor attended = mm(branch, Output.Half), qkv = empty_like(_qkv!);
        var outputGradient = WeightGradient(Output, branch, _attended!);
        fixed (int* first = call.Pass.First)
        {
            AttentionKernel.Backward(Attention(first) with { OutputGradient = BFloat16(attended), QkvGradient = BFloat16(qkv) });
        }
        Tensor normal1 = mm(qkv, Qkv.Half), input = empty_like(X);
        var qkvGradient = WeightGradient(Qkv, qkv, _normal1!);
        var norm1Gradient = NormBackward(X, _inverse1!, AttentionNorm, normal1, stream, input, null);
        return [input, norm1Gradient, qkvGradient, outputGradient, norm2Gradient, gateUpGradient, downGradient];
    }

    public void Dispose()
    {
        Forget();
        _inputs.ForEach(tensor => tensor.Dispose());
        _inputs.Clear();
    }

    private AttentionArguments Attention(int* first) => new()
    {
        Qkv = BFloat16(_qkv!), Output = BFloat16(_attended!), LogSum = Single(_logSum!), Cos = Single(call.Pass.Cos), Sin = Single(call.Pass.Sin), First = first,
        Batch = Batch, Time = Time, Heads = call.Heads, KeyValueHeads = call.KeyValueHeads, HeadDim = call.HeadDim,
    };

    private Tensor NormBackward(Tensor input, Tensor inverse, Tensor weight, Tensor gradient, Tensor passed, Tensor inputGradient, Tensor? branch)
    {
        var partial = Full(NormKernel.Chunks(Rows), Width);
        NormKernel.Backward(new NormArguments
        {
            Input = Single(input), Weight = Single(weight), Inverse = Single(inverse), HalfGradient = BFloat16(gradient), PassedGradient = Single(passed), InputGradient = Single(inputGradient),
            BranchGradient = branch is null ? null : BFloat16(branch), WeightGradients = Single(partial), Dropout = branch is null ? default : call.Pass.Mask(call.Layer, 0),
            Epsilon = call.Epsilon, Rows = Rows, Width = Width,
        });
        return partial.sum(new long[] { 0 });
    }

    private Tensor? WeightGradient(Matrix matrix, Tensor outputNO, Tensor inputNI)
    {
        if (matrix.Owned is not { } weight)
        {
            return mm(outputNO.t(), inputNI).to(ScalarType.Float32);
        }
        call.Memory!.AddGradient(weight, outputNO, inputNI);
        return null;
    }

    private static Tensor Half(params long[] shape) => empty(shape, ScalarType.BFloat16);

    private static Tensor Full(params long[] shape) => empty(shape, ScalarType.Float32);

    private static ushort* BFloat16(Tensor tensor) => (ushort*)Lanes.Pointer(tensor);

    private static float* Single(Tensor tensor) => (float*)Lanes.Pointer(tensor);

    private Tensor Kept(Tensor tensor)
    {
        _kept.Add(tensor.DetachFromDisposeScope());
        return tensor;
    }
}
