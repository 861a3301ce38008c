using TrainServe.Core.Packaging;

namespace TrainServe.Core.Tests.Packaging;

public sealed class QuantizationCostTests
{
    private static readonly QuantizationCost Cost = new() { Source = "text", Tokens = 20_000, ReferencePerplexity = 10, Perplexity = 10.05, MaxIncrease = 0.01, GreedyAgreement = 0.98, Divergence = 0.01 };

    [Theory]
    [InlineData(10.05, "perplexity 10.0000 -> 10.0500 (+0.50%)")]
    [InlineData(9.95, "perplexity 10.0000 -> 9.9500 (-0.50%)")]
    [InlineData(9.9999, "perplexity 10.0000 -> 9.9999 (+0.00%)")]
    public void The_change_is_written_with_its_sign_unless_it_rounds_to_nothing(double perplexity, string expected) => Assert.Equal(expected, (Cost with { Perplexity = perplexity }).PerplexityChange());

    [Fact]
    public void A_rise_beyond_the_limit_a_number_that_is_none_and_an_empty_measurement_break_the_rule()
    {
        Assert.Null(Cost.Failure());
        Assert.Null((Cost with { Perplexity = 9 }).Failure());
        Assert.Contains("more than 1.0", (Cost with { Perplexity = 10.11 }).Failure());
        Assert.NotNull((Cost with { Perplexity = double.NaN }).Failure());
        Assert.NotNull((Cost with { Tokens = 0 }).Failure());
    }
}
