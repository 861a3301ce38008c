using TrainServe.Training.Optimization;

namespace TrainServe.Training.Tests.Optimization;

public sealed class EarlyStoppingTests
{
    [Fact]
    public void It_stops_after_as_many_measurements_without_improvement_as_its_patience_and_knows_the_best()
    {
        var state = new EarlyStopping();
        double[] losses = [3, 2, 2.5, 2];
        for (int i = 0; i < losses.Length; i++)
        {
            Assert.False(state.ShouldStop(3));
            state = state.After(losses[i], step: 10 * (i + 1));
        }
        // An equal loss is no improvement.
        Assert.Equal(new EarlyStopping(2, 20, 2), state);
        Assert.False(state.ShouldStop(3));
        Assert.True(state.After(double.NaN, 50).ShouldStop(3));
        Assert.False(state.After(1.9, 50).ShouldStop(1));
    }

    [Fact]
    public void Without_patience_it_never_stops() => Assert.False(new EarlyStopping(1, 1, 1000).ShouldStop(0));
}
