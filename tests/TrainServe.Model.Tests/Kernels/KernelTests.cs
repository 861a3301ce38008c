using TrainServe.Core.Random;
using TrainServe.Model.Kernels;
using static TorchSharp.torch;

namespace TrainServe.Model.Tests.Kernels;

/// <summary>What kernels of every type share.</summary>
public sealed unsafe class KernelTests
{
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
        var one = BFloat16.FromSingle(1);
        for (int i = 0; i < values.numel(); i += Lanes.Count)
        {
            BFloat16.Store(System.Runtime.Intrinsics.Vector512.Load((float*)Lanes.Pointer(values) + i), Lanes.Of<BFloat16>(actual) + i);
        }
        Assert.Equal(expected.bytes.ToArray(), actual.bytes.ToArray());
        Assert.Equal((ushort)0x3F80, *(ushort*)&one);
        Assert.Equal(1, BFloat16.ToSingle(one));
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

    private static float* Single(Tensor tensor) => (float*)Lanes.Pointer(tensor);
}
