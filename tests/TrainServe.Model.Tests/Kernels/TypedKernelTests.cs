using TrainServe.Model.Kernels;
using static TorchSharp.torch;

namespace TrainServe.Model.Tests.Kernels;

/// <summary>Each kernel against libtorch's operators on the same numbers, stored in either type: what remains is the rounding of the result.</summary>
public sealed unsafe class TypedKernelTests
{
    // Half the distance of neighbours, as a part of a number; of single precision what sums in another order differ by.
    private const double BFloat16Rounding = 1.0 / 256, Float32Rounding = 1e-5;

    public TypedKernelTests()
    {
        TorchRuntime.Initialize(1);
        Assert.SkipUnless(Lanes.IsSupported, "The kernels need AVX-512.");
    }

    [Fact]
    public void Swiglu_and_its_gradient()
    {
        Swiglu<BFloat16>(BFloat16Rounding);
        Swiglu<Float32>(Float32Rounding);
    }

    [Theory]
    [InlineData(2, 2, 32, 33)]
    [InlineData(4, 2, 16, 64)]
    [InlineData(3, 1, 48, 70)]
    public void Attention_and_its_gradients(int heads, int keyValueHeads, int headDim, int time)
    {
        Attention<BFloat16>(BFloat16Rounding, heads, keyValueHeads, headDim, time);
        Attention<Float32>(Float32Rounding, heads, keyValueHeads, headDim, time);
    }

    [Fact]
    public void The_loss_of_each_row_and_its_gradient()
    {
        Loss<BFloat16>(BFloat16Rounding);
        Loss<Float32>(Float32Rounding);
    }

    private static void Swiglu<T>(double rounding) where T : unmanaged, IStoredNumber<T>
    {
        using var scope = NewDisposeScope();
        const int rows = 37, width = 48;
        Tensor gateUp = Random<T>(rows, 2 * width), gradient = Random<T>(rows, width), inner = empty_like(gradient), gateUpGradient = empty_like(gateUp);
        var wide = gateUp.to(ScalarType.Float32).requires_grad_();
        var parts = wide.chunk(2, -1);
        var expected = nn.functional.silu(parts[0]) * parts[1];
        expected.backward([gradient.to(ScalarType.Float32)]);
        SwiGluKernel<T>.Forward(Lanes.Of<T>(gateUp), Lanes.Of<T>(inner), rows, width);
        AssertClose(expected, inner, rounding);
        var place = gradient.clone();
        SwiGluKernel<T>.Backward(Lanes.Of<T>(gateUp), Lanes.Of<T>(place), Lanes.Of<T>(gateUpGradient), rows, width);
        Assert.Equal(inner.bytes.ToArray(), place.bytes.ToArray());
        AssertClose(wide.grad!, gateUpGradient, rounding);
    }

    private static void Attention<T>(double rounding, int heads, int keyValueHeads, int headDim, int time) where T : unmanaged, IStoredNumber<T>
    {
        using var scope = NewDisposeScope();
        const int batch = 2;
        using var rotary = new RotaryEmbedding(time, headDim, 10_000, ScalarType.Float32, CPU);
        Tensor qkv = Random<T>(batch, time, (heads + 2 * keyValueHeads) * headDim), gradient = Random<T>(batch, time, heads * headDim);
        Tensor output = empty_like(gradient), logSum = empty(batch * heads * time), qkvGradient = empty_like(qkv);
        var call = new AttentionArguments<T>
        {
            Qkv = Lanes.Of<T>(qkv), Output = Lanes.Of<T>(output), LogSum = Single(logSum), Cos = Single(rotary.Cos), Sin = Single(rotary.Sin),
            OutputGradient = Lanes.Of<T>(gradient), QkvGradient = Lanes.Of<T>(qkvGradient), Batch = batch, Time = time, Heads = heads, KeyValueHeads = keyValueHeads, HeadDim = headDim,
        };
        AttentionKernel<T>.Forward(call);
        AttentionKernel<T>.Backward(call);

        var wide = qkv.to(ScalarType.Float32).requires_grad_();
        var (cos, sin) = rotary.Run(0, time);
        var headsBTND = wide.view(batch, time, heads + 2 * keyValueHeads, headDim);
        var qBHTD = RotaryEmbedding.Rotate(headsBTND.narrow(2, 0, heads), cos, sin).transpose(1, 2);
        var kBHTD = RotaryEmbedding.Rotate(headsBTND.narrow(2, heads, keyValueHeads), cos, sin).transpose(1, 2).repeat_interleave(heads / keyValueHeads, 1);
        var vBHTD = headsBTND.narrow(2, heads + keyValueHeads, keyValueHeads).transpose(1, 2).repeat_interleave(heads / keyValueHeads, 1);
        var expected = nn.functional.scaled_dot_product_attention(qBHTD, kBHTD, vBHTD, is_casual: true).transpose(1, 2).reshape(batch, time, heads * headDim);
        expected.backward([gradient.to(ScalarType.Float32)]);
        AssertClose(expected, output, rounding);
        AssertClose(wide.grad!, qkvGradient, 3 * rounding);
    }

    private static void Loss<T>(double rounding) where T : unmanaged, IStoredNumber<T>
    {
        using var scope = NewDisposeScope();
        const int rows = 19, vocabulary = 77;
        Tensor logits = Random<T>(rows, vocabulary) * LiveScalar.Of(4), targets = randint(vocabulary, [rows], ScalarType.Int64), losses = empty(rows);
        targets[3] = CrossEntropy.IgnoreIndex;
        var wide = logits.to(ScalarType.Float32).requires_grad_();
        var expected = CrossEntropy.PerToken(wide.unsqueeze(0), targets.unsqueeze(0)).view(rows);
        expected.sum().backward();
        CrossEntropyKernel<T>.Run(Lanes.Of<T>(logits), (long*)Lanes.Pointer(targets), Single(losses), rows, vocabulary, default, wantsGradient: true);
        Assert.True(allclose(losses, expected, rtol: 1e-5, atol: 1e-5));
        AssertClose(wide.grad!, logits, rounding);
    }

    private static Tensor Random<T>(params long[] shape) where T : unmanaged, IStoredNumber<T> => randn(shape).to(T.Type);

    private static float* Single(Tensor tensor) => (float*)Lanes.Pointer(tensor);

    // Within a rounding of the largest number, and of each number.
    private static void AssertClose(Tensor expected, Tensor actual, double rounding)
    {
        var wide = actual.to(ScalarType.Float32);
        Assert.True(allclose(wide, expected.detach(), rtol: rounding, atol: rounding * expected.detach().abs().max().item<float>() / 4), $"{(wide - expected).abs().max().item<float>()}");
    }
}
