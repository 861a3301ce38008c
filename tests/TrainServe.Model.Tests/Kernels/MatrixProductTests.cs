using TorchSharp;
using TrainServe.Model.Kernels;
using static TorchSharp.torch;

namespace TrainServe.Model.Tests.Kernels;

public sealed class MatrixProductTests
{
    public MatrixProductTests() => TorchRuntime.Initialize(1);

    [Theory]
    [InlineData(1, 1, 1, ScalarType.Float32)]
    [InlineData(64, 48, 80, ScalarType.Float32)]
    [InlineData(7, 129, 33, ScalarType.Float32)]
    [InlineData(256, 768, 100, ScalarType.Float32)]
    [InlineData(7, 129, 33, ScalarType.BFloat16)]
    public void Products_are_libtorchs_whichever_factor_is_turned_and_wherever_they_are_written(int rows, int inner, int columns, ScalarType type)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        Tensor left = Random(type, rows, inner), right = Random(type, inner, columns), leftTurned = Random(type, inner, rows).t(), rightTurned = Random(type, columns, inner).t();
        foreach (var (a, b) in new[] { (left, right), (leftTurned, right), (left, rightTurned), (leftTurned, rightTurned) })
        {
            var expected = mm(a.to(ScalarType.Float64), b.to(ScalarType.Float64));
            AssertClose(expected, MatrixProduct.Of(a, b));
            // What is there is written over, even where it is no number.
            var written = full(rows, columns, LiveScalar.Of(double.NaN), type);
            MatrixProduct.Write(written, a, b);
            AssertClose(expected, written);
            var before = written.clone();
            if (MatrixProduct.TryAdd(written, a, b))
            {
                AssertClose(expected.mul(LiveScalar.Of(2)), written);
            }
            else
            {
                Assert.True(written.eq(before).all().item<bool>());
            }
        }
    }

    [Fact]
    public void A_part_of_a_larger_matrix_is_multiplied_and_written_in_its_place()
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        Tensor whole = Random(ScalarType.Float32, 40, 24), right = Random(ScalarType.Float32, 24, 32), result = zeros(40, 32);
        MatrixProduct.Write(result.narrow(0, 8, 16), whole.narrow(0, 8, 16), right);
        AssertClose(mm(whole.narrow(0, 8, 16), right).to(ScalarType.Float64), result.narrow(0, 8, 16));
        Assert.Equal(0, result.narrow(0, 0, 8).abs().sum().item<float>());
        Assert.Equal(0, result.narrow(0, 24, 16).abs().sum().item<float>());
    }

    [Fact]
    public void A_product_gives_the_same_bits_each_time()
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        Tensor left = Random(ScalarType.Float32, 96, 200), right = Random(ScalarType.Float32, 200, 64);
        var first = MatrixProduct.Of(left, right);
        Assert.All(Enumerable.Range(0, 5), _ => Assert.True(MatrixProduct.Of(left, right).eq(first).all().item<bool>()));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(40)]
    public void A_linear_layer_and_its_gradients_are_libtorchs(int rows)
    {
        using var scope = NewDisposeScope();
        Tensor x = randn(2, rows, 24), weight = randn(56, 24), gradient = randn(2, rows, 56);
        var (expected, expectedX, expectedWeight) = Run((a, b) => nn.functional.linear(a, b));
        var (actual, actualX, actualWeight) = Run(LinearFunction.Apply);
        AssertClose(expected.to(ScalarType.Float64), actual);
        AssertClose(expectedX.to(ScalarType.Float64), actualX);
        AssertClose(expectedWeight.to(ScalarType.Float64), actualWeight);
        using var noGradient = no_grad();
        Assert.True(LinearFunction.Apply(x, weight).eq(actual).all().item<bool>());

        (Tensor Y, Tensor X, Tensor Weight) Run(Func<Tensor, Tensor, Tensor> apply)
        {
            Tensor a = x.clone().requires_grad_(), b = weight.clone().requires_grad_();
            var y = apply(a, b);
            y.backward([gradient]);
            return (y.detach(), a.grad!, b.grad!);
        }
    }

    [Fact]
    public void A_second_backward_pass_of_a_linear_layer_gives_no_number()
    {
        using var scope = NewDisposeScope();
        var x = randn(5, 8).requires_grad_();
        var sum = LinearFunction.Apply(x, randn(4, 8)).sum();
        sum.backward(retain_graph: true);
        Assert.False(x.grad!.isnan().any().item<bool>());
        sum.backward();
        Assert.True(x.grad!.isnan().any().item<bool>());
    }

    [Fact]
    public void Who_multiplies_single_precision_is_said() => Assert.Contains(MatrixProduct.SinglePrecision, new[] { "oneDNN", "libtorch" });

    private static Tensor Random(ScalarType type, params long[] shape) => randn(shape).to(type);

    private static void AssertClose(Tensor expected, Tensor actual)
    {
        double rounding = actual.dtype == ScalarType.BFloat16 ? 1.0 / 128 : 1e-5;
        var wide = actual.to(ScalarType.Float64);
        Assert.True(allclose(wide, expected, rtol: rounding, atol: rounding * expected.abs().max().item<double>()), $"{(wide - expected).abs().max().item<double>()}");
    }
}
