using TrainServe.Core.Packaging;
using TrainServe.TestSupport;

namespace TrainServe.Model.Tests;

public sealed class WeightInitializerTests
{
    [Fact]
    public void Matrices_have_the_deviation_of_the_config_and_residual_ones_less()
    {
        TorchRuntime.Initialize(1);
        var config = TinyModels.Config(vocabSize: 256, hiddenSize: 128, intermediateSize: 256, layers: 2, heads: 8, keyValueHeads: 4);
        using var model = new Transformer(config);
        model.Initialize(5);
        foreach (var (name, values) in RandomModels.Weights(model))
        {
            if (name.Contains("norm", StringComparison.Ordinal))
            {
                Assert.All(values, value => Assert.Equal(1f, value));
                continue;
            }
            // 0.02, or 0.02 / sqrt(2 * 2 layers) = 0.01.
            double expected = name.Contains("o_proj", StringComparison.Ordinal) || name.Contains("down_proj", StringComparison.Ordinal) ? 0.01 : 0.02;
            double mean = values.Average(), deviation = Math.Sqrt(values.Average(value => (value - mean) * (value - mean)));
            // Five standard errors of mean and deviation.
            Assert.Equal(0, mean, 5 * expected / Math.Sqrt(values.Length));
            Assert.Equal(expected, deviation, 5 * expected / Math.Sqrt(2.0 * values.Length));
        }
    }

    [Fact]
    public void A_score_head_starts_with_one_over_the_root_of_the_width_plus_one()
    {
        TorchRuntime.Initialize(1);
        using var model = new Transformer(TinyModels.RewardModel() with { HiddenSize = 4096, HeadDim = 4, IntermediateSize = 1, VocabSize = 2, NumHiddenLayers = 1 });
        model.Initialize(5);
        var values = RandomModels.Weights(model)[WeightNames.Score];
        Assert.Equal(1 / Math.Sqrt(4097), Math.Sqrt(values.Average(value => (double)value * value)), 0.001);
    }

    [Fact]
    public void The_same_seed_gives_these_numbers_everywhere_and_another_seed_others()
    {
        TorchRuntime.Initialize(1);
        using var model = new Transformer(TinyModels.Config());
        model.Initialize(1);
        var first = RandomModels.Weights(model);
        model.Initialize(2);
        Assert.NotEqual(first[WeightNames.Embedding], RandomModels.Weights(model)[WeightNames.Embedding]);
        model.Initialize(1);
        Assert.Equal(first, RandomModels.Weights(model));
        Assert.Equal(Pinned, first[WeightNames.Embedding][..4]);
    }

    // Philox and the normal quantile computed elsewhere agree to 7 digits. A change of the generator or of the transformation would make every seed mean another model.
    private static readonly float[] Pinned = [0.0245581511f, 0.0250366665f, 0.00433128094f, 0.0111418618f];

    [Theory]
    // NIST's table of the standard normal quantile.
    [InlineData(0.5, 0)]
    [InlineData(0.975, 1.959963985)]
    [InlineData(0.025, -1.959963985)]
    [InlineData(0.84134474607, 1)]
    [InlineData(0.999, 3.090232306)]
    [InlineData(1e-6, -4.753424309)]
    [InlineData(1e-12, -7.034483825)]
    public void Normal_quantiles_are_those_of_the_tables(double probability, double expected) =>
        Assert.Equal(expected, NormalQuantile.Of(probability), 1e-6);
}
