using System.Xml.Linq;
using TrainServe.Core;
using TrainServe.Training.Recipes;
using TrainServe.Training.Scaling;

namespace TrainServe.Training.Tests.Scaling;

public sealed class ScalingTests
{
    // Hoffmann et al. 2022, table A3.
    private static readonly ScalingFit Chinchilla = new(1.69, 406.4, 0.34, 410.7, 0.28, 0);
    private static readonly ModelSection Model = new() { HiddenSize = 384, IntermediateSize = 1024, NumHiddenLayers = 6, NumAttentionHeads = 6 };

    [Fact]
    public void Losses_made_by_a_law_give_the_law_back()
    {
        var fit = ScalingFit.Of(Points(Chinchilla));
        Assert.InRange(fit.RelativeError, 0, 1e-4);
        Assert.Equal(Chinchilla.Irreducible, fit.Irreducible, 0.1);
        Assert.Equal(Chinchilla.SizeExponent, fit.SizeExponent, 0.02);
        Assert.Equal(Chinchilla.DataExponent, fit.DataExponent, 0.02);
        // Ten times what it has seen.
        Assert.Equal(Chinchilla.Loss(1e9, 2e10), fit.Loss(1e9, 2e10), 0.02);
    }

    [Fact]
    public void No_other_size_reaches_a_lower_loss_by_the_computation_of_the_best_tokens()
    {
        const double parameters = 7e7;
        double tokens = Chinchilla.BestTokens(parameters)!.Value, loss = Chinchilla.Loss(parameters, tokens);
        Assert.All((double[])[0.5, 0.9, 1.1, 2], factor => Assert.True(Chinchilla.Loss(parameters * factor, tokens / factor) > loss));
    }

    [Fact]
    public void Where_more_data_changes_nothing_the_fit_says_so()
    {
        var fit = ScalingFit.Of(Points(Chinchilla with { DataCoefficient = 0 }));
        Assert.Equal(fit.Loss(1e7, 1e8), fit.Loss(1e7, 1e10), 0.01);
    }

    [Fact]
    public void Fewer_than_five_runs_make_no_fit() =>
        Assert.Contains("at least 5 runs", Assert.Throws<ArgumentException>(() => ScalingFit.Of([.. Points(Chinchilla).Take(4)])).Message, StringComparison.Ordinal);

    [Fact]
    public void A_smaller_rung_keeps_the_size_of_heads_and_the_proportions()
    {
        var half = ScalingLadder.Scaled(Model, 0.5);
        Assert.Equal((192, 512, 3, 3, 64), (half.HiddenSize, half.IntermediateSize, half.NumHiddenLayers, half.NumAttentionHeads, half.HeadDim));
        var grouped = ScalingLadder.Scaled(Model with { NumKeyValueHeads = 2 }, 0.5);
        Assert.Equal((3, 1), (grouped.NumAttentionHeads, grouped.NumKeyValueHeads));
        Assert.Equal(384, ScalingLadder.Scaled(Model, 1).HiddenSize);
    }

    [Fact]
    public void A_scale_that_leaves_nothing_is_refused() => Assert.Throws<RecipeException>(() => ScalingLadder.Scaled(Model, 0.01));

    [Theory]
    [InlineData(2, new[] { 0.5, 1 })]
    [InlineData(1.5, new[] { 1, 0.5, 0.6666666666666666 })]
    public void The_next_rung_is_as_far_above_as_the_last_is_above_the_one_before(double expected, double[] scales) => Assert.Equal(expected, ScalingLadder.Next(scales), 1e-9);

    [Fact]
    public void The_picture_has_every_run_a_curve_for_each_amount_of_data_and_the_next_size()
    {
        var points = Points(Chinchilla);
        var picture = XDocument.Parse(ScalingChart.Draw(points, Chinchilla, new ScalingPoint(200_000_000, 1_000_000_000, 2.5)));
        Assert.Equal(points.Count + 1, picture.Descendants().Count(element => element.Name.LocalName == "circle"));
        Assert.Equal(1 + points.DistinctBy(point => point.Tokens).Count(), picture.Descendants().Count(element => element.Name.LocalName == "path"));
        Assert.DoesNotContain("NaN", picture.ToString());
    }

    private static List<ScalingPoint> Points(ScalingFit law) =>
        [.. from parameters in (long[])[1_000_000, 4_000_000, 16_000_000, 100_000_000] from tokens in (long[])[10_000_000, 100_000_000, 1_000_000_000] select new ScalingPoint(parameters, tokens, law.Loss(parameters, tokens))];
}
