using TrainServe.Training.Recipes;
using TrainServe.Training.Reinforcement;

namespace TrainServe.Training.Tests.Reinforcement;

public sealed class AdvantageEstimationTests
{
    [Fact]
    public void The_divergence_is_charged_at_each_token_and_the_score_is_added_once_at_the_last()
    {
        // 0.1 a nat: log ratios 0.5, -0.2, 0.
        float[] rewards = AdvantageEstimation.Rewards([-1, -2, -3], [-1.5f, -1.8f, -3], 0.1, score: 2);
        Assert.Equal([-0.05f, 0.02f, 2], rewards, Near);
    }

    [Fact]
    public void Advantages_are_those_of_the_papers_equation_16_with_nothing_past_the_end()
    {
        // gamma 0.9, lambda 0.5. Backwards: delta 2 = 1 - 3 = -2; delta 1 = 0 + 0.9 * 3 - 2 = 0.7; delta 0 = 1 + 0.9 * 2 - 1 = 1.8.
        // A 2 = -2; A 1 = 0.7 + 0.45 * -2 = -0.2; A 0 = 1.8 + 0.45 * -0.2 = 1.71.
        Assert.Equal([1.71f, -0.2f, -2], AdvantageEstimation.Advantages([1, 0, 1], [1, 2, 3], gamma: 0.9, lambda: 0.5), Near);
    }

    [Fact]
    public void With_gamma_and_lambda_1_an_advantage_is_the_rest_of_the_rewards_less_the_value() =>
        Assert.Equal([6 - 1f, 5 - 2, 3 - 3], AdvantageEstimation.Advantages([1, 2, 3], [1, 2, 3], gamma: 1, lambda: 1), Near);

    [Fact]
    public void Whitening_gives_mean_0_and_deviation_1_over_all_answers_together()
    {
        float[] one = [1, 2], other = [3];
        AdvantageEstimation.Whiten([one, other], shiftMean: true);
        // Mean 2, unbiased variance 1.
        Assert.Equal([-1, 0], one, Near);
        Assert.Equal([1], other, Near);
    }

    [Fact]
    public void Whitening_of_rewards_keeps_their_mean()
    {
        float[] values = [10, 14];
        AdvantageEstimation.Whiten([values], shiftMean: false);
        // Mean 12, unbiased variance 8.
        Assert.Equal([12 - 2 / MathF.Sqrt(8), 12 + 2 / MathF.Sqrt(8)], values, Near);
    }

    [Fact]
    public void The_coefficient_follows_the_target_within_a_fifth_over_the_horizon()
    {
        var controller = new KlController(new KlSection { Coefficient = 0.1, Control = KlControlKind.Adaptive, Target = 6, Horizon = 1000 });
        // 6.6 nats are a tenth above the target; 100 answers are a tenth of the horizon.
        controller.Observe(6.6, 100);
        Assert.Equal(0.1 * 1.01, controller.Coefficient, 1e-12);
        // 60 nats are ten times it, and count a fifth; none counts a fifth less.
        controller.Observe(60, 100);
        controller.Observe(0, 100);
        Assert.Equal(0.1 * 1.01 * 1.02 * 0.98, controller.Coefficient, 1e-12);
    }

    [Fact]
    public void A_fixed_coefficient_stays()
    {
        var controller = new KlController(new KlSection { Coefficient = 0.1 });
        controller.Observe(60, 100);
        Assert.Equal(0.1, controller.Coefficient);
    }

    [Fact]
    public void A_divergence_that_stays_negative_is_said()
    {
        var alarm = new NegativeKlAlarm();
        Assert.All(Enumerable.Range(0, 7), _ => Assert.Null(alarm.Observe(-0.1)));
        Assert.Contains("below 0 for 8 steps", alarm.Observe(-0.1), StringComparison.Ordinal);
        Assert.Null(alarm.Observe(0.1));
        Assert.Equal(0, alarm.StepsInARow);
    }

    [Theory]
    // Rewards 1, 0, 0, 1: mean 1/2, unbiased deviation sqrt(1/3).
    [InlineData(AdvantageKind.Grpo, 0.5 / (0.57735026919 + 1e-4))]
    [InlineData(AdvantageKind.DrGrpo, 0.5)]
    // Against the mean of the other three: 1 - 1/3.
    [InlineData(AdvantageKind.Rloo, 2.0 / 3)]
    public void A_group_is_compared_as_its_kind_says(AdvantageKind kind, double expected)
    {
        double[] found = GroupAdvantages.Of([1, 0, 0, 1], kind);
        Assert.Equal(expected, found[0], 1e-9);
        Assert.Equal(-expected, found[1], 1e-9);
        Assert.Equal(0, found.Sum(), 1e-12);
    }

    [Theory]
    [InlineData(AdvantageKind.Grpo)]
    [InlineData(AdvantageKind.DrGrpo)]
    [InlineData(AdvantageKind.Rloo)]
    public void A_group_without_spread_teaches_nothing(AdvantageKind kind) => Assert.Equal([0, 0, 0], GroupAdvantages.Of([0.1, 0.1, 0.1], kind));

    private static bool Near(float expected, float actual) => Math.Abs(expected - actual) < 1e-5;
}
