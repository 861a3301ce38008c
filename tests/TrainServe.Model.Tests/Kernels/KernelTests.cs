using TrainServe.Core.Random;
using TrainServe.Model.Kernels;
using static TorchSharp.torch;

namespace TrainServe.Model.Tests.Kernels;

/// <summary>Each kernel against libtorch's operators on the same bfloat16 numbers: what remains is the rounding of the result.</summary>
public sealed unsafe class KernelTests
{
    private const double HalfUlp = 1.0 / 256;

    public KernelTests()
    {
        TorchRuntime.Initialize(1);
        Assert.SkipUnless(Lanes.IsSupported, "The kernels need AVX-512.");
    }

    [Fact]
    public void Exp_is_exact_to_a_unit_in_the_last_place_and_has_its_limits()
    {
        float[] x = [.. Enumerable.Range(-8700, 17500).Select(i => i / 100f)];
        float* lanes = stackalloc float[Lanes.Count];
        for (int i = 0; i + Lanes.Count <= x.Length; i += Lanes.Count)
        {
            System.Runtime.Intrinsics.Vector512.Store(Lanes.Exp(System.Runtime.Intrinsics.Vector512.Create(x.AsSpan(i))), lanes);
            for (int lane = 0; lane < Lanes.Count; lane++)
            {
                Assert.InRange(lanes[lane] / Math.Exp(x[i + lane]), 1 - 2.4e-7, 1 + 2.4e-7);
            }
        }
        System.Runtime.Intrinsics.Vector512.Store(Lanes.Exp(System.Runtime.Intrinsics.Vector512.Create(-1e30f)), lanes);
        Assert.Equal(0, lanes[0]);
        System.Runtime.Intrinsics.Vector512.Store(Lanes.Exp(System.Runtime.Intrinsics.Vector512.Create(float.PositiveInfinity)), lanes);
        Assert.Equal(float.PositiveInfinity, lanes[0]);
    }

    [Fact]
    public void Rounding_to_bfloat16_is_libtorchs()
    {
        using var scope = NewDisposeScope();
        var values = cat([randn(4096) * LiveScalar.Of(100), tensor(new[] { 1.00390625f, 1.01171875f, -1.00390625f, 0f, -0f, float.PositiveInfinity, float.NegativeInfinity, 1e-40f, 3e38f, 0, 0, 0, 0, 0, 0, 0 })]);
        var expected = values.to(ScalarType.BFloat16);
        var actual = empty_like(expected);
        for (int i = 0; i < values.numel(); i += Lanes.Count)
        {
            Lanes.Store(System.Runtime.Intrinsics.Vector512.Load((float*)Lanes.Pointer(values) + i), (ushort*)Lanes.Pointer(actual) + i);
        }
        Assert.Equal(expected.bytes.ToArray(), actual.bytes.ToArray());
        Assert.Equal((ushort)0x3F80, Lanes.ToBFloat16(1));
        Assert.Equal(1, Lanes.ToSingle(0x3F80));
    }

    [Theory]
    [InlineData(8, 16, 1, false, false)]
    [InlineData(16, 48, 33, true, false)]
    [InlineData(24, 80, 7, false, true)]
    [InlineData(32, 64, 32, true, true)]
    public void Small_products_are_matrix_products(int m, int n, int k, bool isTransposed, bool adds)
    {
        using var scope = NewDisposeScope();
        Tensor a = isTransposed ? randn(k, m) : randn(m, k), b = randn(k, n), c = randn(m, n);
        var expected = mm(isTransposed ? a.t() : a, b).Plus(adds ? c : zeros_like(c));
        SmallGemm.Multiply(Single(a), isTransposed ? 1 : k, isTransposed ? m : 1, Single(b), n, Single(c), n, m, n, k, adds);
        Assert.True(allclose(c, expected, rtol: 1e-4, atol: 1e-4));
    }

    [Fact]
    public void Swiglu_and_its_gradient()
    {
        using var scope = NewDisposeScope();
        const int rows = 37, width = 48;
        Tensor gateUp = Random(rows, 2 * width), gradient = Random(rows, width), inner = empty_like(gradient), gateUpGradient = empty_like(gateUp);
        var wide = gateUp.to(ScalarType.Float32).requires_grad_();
        var parts = wide.chunk(2, -1);
        var expected = nn.functional.silu(parts[0]) * parts[1];
        expected.backward([gradient.to(ScalarType.Float32)]);
        SwiGluKernel.Forward(BFloat16(gateUp), BFloat16(inner), rows, width);
        AssertClose(expected, inner);
        var place = gradient.clone();
        SwiGluKernel.Backward(BFloat16(gateUp), BFloat16(place), BFloat16(gateUpGradient), rows, width);
        Assert.Equal(inner.bytes.ToArray(), place.bytes.ToArray());
        AssertClose(wide.grad!, gateUpGradient);
    }

    [Fact]
    public void The_norm_and_its_gradients()
    {
        using var scope = NewDisposeScope();
        const int rows = 150, width = 80;
        using var norm = new RmsNorm(width, 1e-5f, ScalarType.Float32, CPU);
        using (no_grad())
        {
            norm.Weight.copy_(linspace(0.5, 1.5, width));
        }
        Tensor x = randn(3, rows / 3, width), gradient = randn(3, rows / 3, width);
        var (expected, expectedX, expectedWeight) = Run(y => norm.call(y));
        var (actual, actualX, actualWeight) = Run(y => NormFunction.Apply(y, norm));
        Assert.True(allclose(actual, expected, rtol: 1e-5, atol: 1e-6));
        Assert.True(allclose(actualX, expectedX, rtol: 1e-4, atol: 1e-5));
        Assert.True(allclose(actualWeight, expectedWeight, rtol: 1e-4, atol: 1e-4));

        (Tensor Y, Tensor X, Tensor Weight) Run(Func<Tensor, Tensor> apply)
        {
            var input = x.clone().requires_grad_();
            var y = apply(input);
            y.backward([gradient]);
            var weight = norm.Weight.grad!.clone();
            norm.Weight.grad = null;
            return (y, input.grad!, weight);
        }
    }

    [Theory]
    [InlineData(2, 2, 32, 33)]
    [InlineData(4, 2, 16, 64)]
    [InlineData(3, 1, 48, 70)]
    public void Attention_and_its_gradients(int heads, int keyValueHeads, int headDim, int time)
    {
        using var scope = NewDisposeScope();
        const int batch = 2;
        using var rotary = new RotaryEmbedding(time, headDim, 10_000, ScalarType.Float32, CPU);
        Tensor qkv = Random(batch, time, (heads + 2 * keyValueHeads) * headDim), gradient = Random(batch, time, heads * headDim);
        Tensor output = empty_like(gradient), logSum = empty(batch * heads * time), qkvGradient = empty_like(qkv);
        var call = new AttentionArguments
        {
            Qkv = BFloat16(qkv), Output = BFloat16(output), LogSum = Single(logSum), Cos = Single(rotary.Cos), Sin = Single(rotary.Sin),
            OutputGradient = BFloat16(gradient), QkvGradient = BFloat16(qkvGradient), Batch = batch, Time = time, Heads = heads, KeyValueHeads = keyValueHeads, HeadDim = headDim,
        };
        AttentionKernel.Forward(call);
        AttentionKernel.Backward(call);

        var wide = qkv.to(ScalarType.Float32).requires_grad_();
        var (cos, sin) = rotary.Run(0, time);
        var headsBTND = wide.view(batch, time, heads + 2 * keyValueHeads, headDim);
        var qBHTD = RotaryEmbedding.Rotate(headsBTND.narrow(2, 0, heads), cos, sin).transpose(1, 2);
        var kBHTD = RotaryEmbedding.Rotate(headsBTND.narrow(2, heads, keyValueHeads), cos, sin).transpose(1, 2).repeat_interleave(heads / keyValueHeads, 1);
        var vBHTD = headsBTND.narrow(2, heads + keyValueHeads, keyValueHeads).transpose(1, 2).repeat_interleave(heads / keyValueHeads, 1);
        var expected = nn.functional.scaled_dot_product_attention(qBHTD, kBHTD, vBHTD, is_casual: true).transpose(1, 2).reshape(batch, time, heads * headDim);
        expected.backward([gradient.to(ScalarType.Float32)]);
        AssertClose(expected, output);
        AssertClose(wide.grad!, qkvGradient, units: 3);
    }

    [Fact]
    public void The_loss_of_each_row_and_its_gradient()
    {
        using var scope = NewDisposeScope();
        const int rows = 19, vocabulary = 77;
        Tensor logits = Random(rows, vocabulary) * LiveScalar.Of(4), targets = randint(vocabulary, [rows], ScalarType.Int64), losses = empty(rows);
        targets[3] = CrossEntropy.IgnoreIndex;
        var wide = logits.to(ScalarType.Float32).requires_grad_();
        var expected = CrossEntropy.PerToken(wide.unsqueeze(0), targets.unsqueeze(0)).view(rows);
        expected.sum().backward();
        CrossEntropyKernel.Run(BFloat16(logits), (long*)Lanes.Pointer(targets), Single(losses), rows, vocabulary, default, wantsGradient: true);
        Assert.True(allclose(losses, expected, rtol: 1e-5, atol: 1e-5));
        AssertClose(wide.grad!, logits);
    }

    [Fact]
    public void Dropout_drops_its_part_and_scales_the_rest()
    {
        const int count = 1 << 16;
        var mask = new DropoutMask(0.25, new PhiloxRandom(3).NextUInt64());
        float* lanes = stackalloc float[Lanes.Count];
        int dropped = 0;
        for (int i = 0; i < count; i += Lanes.Count)
        {
            System.Runtime.Intrinsics.Vector512.Store(mask.Apply(System.Runtime.Intrinsics.Vector512.Create(3f), i), lanes);
            for (int lane = 0; lane < Lanes.Count; lane++)
            {
                Assert.True(lanes[lane] is 0 or 4, $"{lanes[lane]}");
                dropped += lanes[lane] == 0 ? 1 : 0;
            }
        }
        // Four standard deviations of a binomial.
        Assert.InRange(dropped, count / 4 - 443, count / 4 + 443);
        Assert.False(default(DropoutMask).IsOn);
    }

    private static Tensor Random(params long[] shape) => randn(shape).to(ScalarType.BFloat16);

    private static ushort* BFloat16(Tensor tensor) => (ushort*)Lanes.Pointer(tensor);

    private static float* Single(Tensor tensor) => (float*)Lanes.Pointer(tensor);

    // Within a rounding of the largest number, and of each number.
    private static void AssertClose(Tensor expected, Tensor actual, double units = 1)
    {
        var wide = actual.to(ScalarType.Float32);
        Assert.True(allclose(wide, expected.detach(), rtol: units * HalfUlp, atol: units * HalfUlp * expected.detach().abs().max().item<float>() / 4), $"{(wide - expected).abs().max().item<float>()}");
    }
}
