using static TorchSharp.torch;

namespace TrainServe.Model.Kernels;

// B batch, T time, N = B * T, C width, F inner width, H query heads, K key-value heads, D head size.

/// <summary>What a block keeps between forward and backward, and both of them.</summary>
internal interface IBlockState : IDisposable
{
    /// <summary>Whether the gradient was computed already, so that what it needs is gone.</summary>
    bool IsSpent { get; }

    /// <returns>The residual stream that goes out, [B, T, C], in the caller's dispose scope.</returns>
    Tensor Forward();

    /// <summary>Frees everything but the inputs; <see cref="Backward"/> computes it again, with the same masks.</summary>
    void Forget();

    /// <param name="gradientBTC">Of the result, single precision, contiguous.</param>
    /// <returns>Gradients of the stream and of the six weights in the order of <see cref="BlockFunction.Apply"/>, single precision; null for those that the step's memory has.</returns>
    List<Tensor?> Backward(Tensor gradientBTC);
}

/// <summary>With activations and matrices in <typeparamref name="T"/>.</summary>
internal sealed unsafe class BlockState<T>(BlockCall call) : IBlockState where T : unmanaged, IStoredNumber<T>
{
    private readonly List<Tensor> _inputs = [], _kept = [];
    private Tensor? _normal1, _qkv, _logSum, _attended, _stream, _normal2, _gateUp, _inverse1, _inverse2;

    /// <summary>The residual stream that comes in, single precision, [B, T, C].</summary>
    public required Tensor X { get; init; }

    /// <summary>Weights of the norms, single precision, [C].</summary>
    public required Tensor AttentionNorm { get; init; }
    public required Tensor FeedForwardNorm { get; init; }

    /// <summary>The matrices in T.</summary>
    public required Matrix Qkv { get; init; }
    public required Matrix Output { get; init; }
    public required Matrix GateUp { get; init; }
    public required Matrix Down { get; init; }

    /// <inheritdoc/>
    public bool IsSpent => _inputs.Count == 0;

    private int Batch => (int)X.shape[0];
    private int Time => (int)X.shape[1];
    private int Width => (int)X.shape[2];
    private int Rows => Batch * Time;
    private int Inner => (int)Down.Values.shape[1];

    /// <inheritdoc/>
    public Tensor Forward()
    {
        foreach (var tensor in (ReadOnlySpan<Tensor>)[X, Qkv.Values, Output.Values, GateUp.Values, Down.Values])
        {
            _inputs.Add(tensor.DetachFromDisposeScope());
        }
        Compute();
        var inner = Empty(Rows, Inner);
        SwiGluKernel<T>.Forward(Stored(_gateUp!), Stored(inner), Rows, Inner);
        var added = MatrixProduct.Of(inner, Down.Values.t());
        var result = empty_like(X);
        ResidualKernel<T>.Add(Single(_stream!), Stored(added), Single(result), Rows * Width, call.Pass.Mask(call.Layer, 1));
        return result;
    }

    // Everything that backward needs.
    private void Compute()
    {
        (_normal1, _inverse1) = (Kept(Empty(Rows, Width)), Kept(Sums(Rows)));
        NormKernel<T>.Forward(new NormArguments<T>
        {
            Input = Single(X), Weight = Single(AttentionNorm), Inverse = Single(_inverse1), Normal = Stored(_normal1), Epsilon = call.Epsilon, Rows = Rows, Width = Width,
        });
        _qkv = Kept(MatrixProduct.Of(_normal1, Qkv.Values.t()));
        (_attended, _logSum) = (Kept(Empty(Rows, (long)call.Heads * call.HeadDim)), Kept(Sums((long)Rows * call.Heads)));
        fixed (int* first = call.Pass.First)
        {
            AttentionKernel<T>.Forward(Attention(first));
        }
        var branch = MatrixProduct.Of(_attended, Output.Values.t());
        (_stream, _normal2, _inverse2) = (Kept(empty_like(X)), Kept(Empty(Rows, Width)), Kept(Sums(Rows)));
        NormKernel<T>.Forward(new NormArguments<T>
        {
            Input = Single(X), Branch = Stored(branch), Sum = Single(_stream), Weight = Single(FeedForwardNorm), Inverse = Single(_inverse2), Normal = Stored(_normal2),
            Dropout = call.Pass.Mask(call.Layer, 0), Epsilon = call.Epsilon, Rows = Rows, Width = Width,
        });
        _gateUp = Kept(MatrixProduct.Of(_normal2, GateUp.Values.t()));
    }

    /// <inheritdoc/>
    public void Forget()
    {
        _kept.ForEach(tensor => tensor.Dispose());
        _kept.Clear();
        _normal1 = _qkv = _logSum = _attended = _stream = _normal2 = _gateUp = _inverse1 = _inverse2 = null;
    }

    /// <inheritdoc/>
    public List<Tensor?> Backward(Tensor gradientBTC)
    {
        if (_normal1 is null)
        {
            Compute();
        }
        var added = Empty(Rows, Width);
        ResidualKernel<T>.Split(Single(gradientBTC), Stored(added), Rows * Width, call.Pass.Mask(call.Layer, 1));
        Tensor inner = MatrixProduct.Of(added, Down.Values), gateUp = empty_like(_gateUp!);
        SwiGluKernel<T>.Backward(Stored(_gateUp!), Stored(inner), Stored(gateUp), Rows, Inner);
        // From here inner is what forward multiplied by the matrix.
        var downGradient = WeightGradient(Down, added, inner);
        var normal2 = MatrixProduct.Of(gateUp, GateUp.Values);
        var gateUpGradient = WeightGradient(GateUp, gateUp, _normal2!);
        Tensor stream = empty_like(X), branch = Empty(Rows, Width);
        var norm2Gradient = NormBackward(_stream!, _inverse2!, FeedForwardNorm, normal2, gradientBTC, stream, branch);

        Tensor attended = MatrixProduct.Of(branch, Output.Values), qkv = empty_like(_qkv!);
        var outputGradient = WeightGradient(Output, branch, _attended!);
        fixed (int* first = call.Pass.First)
        {
            AttentionKernel<T>.Backward(Attention(first) with { OutputGradient = Stored(attended), QkvGradient = Stored(qkv) });
        }
        Tensor normal1 = MatrixProduct.Of(qkv, Qkv.Values), input = empty_like(X);
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

    private AttentionArguments<T> Attention(int* first) => new()
    {
        Qkv = Stored(_qkv!), Output = Stored(_attended!), LogSum = Single(_logSum!), Cos = Single(call.Pass.Cos), Sin = Single(call.Pass.Sin), First = first,
        Batch = Batch, Time = Time, Heads = call.Heads, KeyValueHeads = call.KeyValueHeads, HeadDim = call.HeadDim,
    };

    private Tensor NormBackward(Tensor input, Tensor inverse, Tensor weight, Tensor gradient, Tensor passed, Tensor inputGradient, Tensor? branch)
    {
        var partial = Sums(NormKernel<T>.Chunks(Rows), Width);
        NormKernel<T>.Backward(new NormArguments<T>
        {
            Input = Single(input), Weight = Single(weight), Inverse = Single(inverse), NormalGradient = Stored(gradient), PassedGradient = Single(passed), InputGradient = Single(inputGradient),
            BranchGradient = branch is null ? null : Stored(branch), WeightGradients = Single(partial), Dropout = branch is null ? default : call.Pass.Mask(call.Layer, 0),
            Epsilon = call.Epsilon, Rows = Rows, Width = Width,
        });
        return partial.sum(new long[] { 0 });
    }

    private Tensor? WeightGradient(Matrix matrix, Tensor outputNO, Tensor inputNI)
    {
        if (matrix.Owned is not { } weight)
        {
            return MatrixProduct.Of(outputNO.t(), inputNI).to(ScalarType.Float32);
        }
        call.Memory!.AddGradient(weight, outputNO, inputNI);
        return null;
    }

    private static Tensor Empty(params long[] shape) => empty(shape, T.Type);

    private static Tensor Sums(params long[] shape) => empty(shape, ScalarType.Float32);

    private static T* Stored(Tensor tensor) => Lanes.Of<T>(tensor);

    private static float* Single(Tensor tensor) => (float*)Lanes.Pointer(tensor);

    private Tensor Kept(Tensor tensor)
    {
        _kept.Add(tensor.DetachFromDisposeScope());
        return tensor;
    }
}
