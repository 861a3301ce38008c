using TorchSharp.Modules;
using TrainServe.Training.Optimization;
using static TorchSharp.torch;

namespace TrainServe.Training.Tests.Optimization;

public sealed class GradientsTests
{
    [Fact]
    public void The_norm_is_that_of_all_gradients_as_one_vector()
    {
        using var scope = NewDisposeScope();
        var one = With(3f, 0f);
        var other = With(0f, 4f);
        var unused = new Parameter(zeros(2));
        Assert.Equal(5, Gradients.GlobalNorm([one, other, unused]), 6);
        Assert.Equal(0, Gradients.GlobalNorm([unused]));
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void One_number_that_is_not_finite_makes_the_norm_not_finite(float bad)
    {
        using var scope = NewDisposeScope();
        Assert.False(double.IsFinite(Gradients.GlobalNorm([With(1f, 2f), With(bad, 0f)])));
    }

    [Theory]
    [InlineData(10, 1, 0.1)]
    [InlineData(0.5, 1, 1)]
    [InlineData(10, 0, 1)]
    public void Clipping_brings_a_long_vector_down_to_the_limit(double norm, double limit, double factor) =>
        Assert.Equal(factor, Gradients.ClipFactor(norm, limit), 6);

    [Fact]
    public void Cleared_gradients_are_gone()
    {
        using var scope = NewDisposeScope();
        var weight = With(1f, 2f);
        Gradients.Clear([weight]);
        Assert.Null(weight.grad);
    }

    private static Parameter With(params float[] gradient) => new(zeros(gradient.Length)) { grad = tensor(gradient) };
}
