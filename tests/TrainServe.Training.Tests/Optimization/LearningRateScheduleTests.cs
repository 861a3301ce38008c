using TrainServe.Training.Optimization;

namespace TrainServe.Training.Tests.Optimization;

public sealed class LearningRateScheduleTests
{
    [Theory]
    [InlineData(0, 0.2)]
    [InlineData(3, 0.8)]
    [InlineData(4, 1.0)]
    // Half way from step 4 to step 12: the mean of highest and last rate.
    [InlineData(8, 0.55)]
    // A quarter of the way: 0.1 + 0.9 * (1 + cos 45 degrees) / 2.
    [InlineData(6, 0.8681981)]
    [InlineData(12, 0.1)]
    [InlineData(100, 0.1)]
    public void Cosine_rises_over_the_warm_up_and_falls_by_half_a_cosine(long step, double expected) =>
        Assert.Equal(expected, new LearningRateSchedule(ScheduleKind.Cosine, 1, 0.1, 4, 12).At(step), 6);

    [Theory]
    [InlineData(1, 2.0 / 3)]
    [InlineData(2, 1.0)]
    [InlineData(5, 1.0)]
    [InlineData(6, 1.0)]
    [InlineData(7, 0.75)]
    [InlineData(9, 0.25)]
    [InlineData(10, 0.0)]
    public void Wsd_stays_up_and_falls_in_a_line_over_its_last_part(long step, double expected) =>
        Assert.Equal(expected, new LearningRateSchedule(ScheduleKind.Wsd, 1, 0, 2, 10, DecayFraction: 0.4).At(step), 12);

    [Theory]
    [InlineData(0, 1.0)]
    [InlineData(5, 0.6)]
    [InlineData(10, 0.2)]
    public void Linear_falls_in_a_line_from_the_end_of_warm_up(long step, double expected) =>
        Assert.Equal(expected, new LearningRateSchedule(ScheduleKind.Linear, 1, 0.2, 0, 10).At(step), 12);

    [Fact]
    public void Constant_stays_at_its_highest_rate() => Assert.Equal(0.5, new LearningRateSchedule(ScheduleKind.Constant, 0.5, 0.1, 2, 10).At(9));

    [Fact]
    public void A_warm_up_longer_than_the_run_never_reaches_the_highest_rate() =>
        Assert.Equal(0.5, new LearningRateSchedule(ScheduleKind.Cosine, 1, 0, 9, 5).At(4), 12);
}
