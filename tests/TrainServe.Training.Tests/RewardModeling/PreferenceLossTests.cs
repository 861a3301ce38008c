using TrainServe.Training.RewardModeling;
using static TorchSharp.torch;

namespace TrainServe.Training.Tests.RewardModeling;

[Collection(TorchFixture.Generator)]
public sealed class PreferenceLossTests
{
    [Fact]
    public void The_loss_is_minus_the_log_of_the_sigmoid_of_the_difference_less_the_margin()
    {
        using var scope = NewDisposeScope();
        // -log(1 / (1 + e^-0.5)) = log(1 + e^-0.5), and -log(1 / (1 + e^2)).
        double expected = Math.Log(1 + Math.Exp(-0.5)) + Math.Log(1 + Math.Exp(2));
        Assert.Equal(expected, PreferenceLoss.Sum(tensor([2f, 1]), tensor([1f, 3]), tensor([0.5f, 0])).item<float>(), 1e-6);
    }

    [Fact]
    public void A_difference_beyond_every_exponential_keeps_loss_and_gradient_finite()
    {
        using var scope = NewDisposeScope();
        var chosen = tensor([-1000f]).requires_grad_();
        var loss = PreferenceLoss.Sum(chosen, tensor([1000f]), tensor([0f]));
        loss.backward();
        Assert.Equal(2000, loss.item<float>(), 1e-3);
        Assert.Equal(-1, chosen.grad!.item<float>(), 1e-6);
    }

    [Fact]
    public void Centring_is_the_square_of_each_pairs_mean_score()
    {
        using var scope = NewDisposeScope();
        // ((2 + 1) / 2)^2 + ((-1 + 1) / 2)^2
        Assert.Equal(2.25, PreferenceLoss.Centering(tensor([2f, -1]), tensor([1f, 1])).item<float>(), 1e-6);
    }

    [Fact]
    public void The_loss_along_the_answers_is_each_pairs_mean()
    {
        using var scope = NewDisposeScope();
        // A pair with two places, differences 1 and 0, and one with a single place, difference -2: (log(1 + e^-1) + ln 2) / 2 + log(1 + e^2).
        double expected = (Math.Log(1 + Math.Exp(-1)) + Math.Log(2)) / 2 + Math.Log(1 + Math.Exp(2));
        Assert.Equal(expected, PreferenceLoss.AlongSum(tensor([1f, 3, 0]), tensor([0f, 3, 2]), tensor([0.5f, 0.5f, 1])).item<float>(), 1e-6);
    }

    [Fact]
    public void A_tie_is_not_right()
    {
        var found = PreferenceAccuracy.Of([0, 0, 0, 0]);
        Assert.Equal(0, found.Accuracy);
        Assert.Equal(1, found.Ties);
        Assert.Equal(Math.Log(2), found.Loss, 1e-12);
        Assert.Equal(0.25, PreferenceAccuracy.Of([1, -1, 0, -2]).Accuracy);
    }

    [Fact]
    public void The_calibration_error_compares_confidence_with_accuracy_bin_by_bin()
    {
        // sigmoid(ln 4) = 0.8, of which 3 of 4 are right; sigmoid(ln 1.5) = 0.6, of which 1 of 2 are.
        double far = Math.Log(4) + 1e-9, near = Math.Log(1.5) + 1e-9;
        double expected = (4 * Math.Abs(0.8 - 0.75) + 2 * Math.Abs(0.6 - 0.5)) / 6;
        Assert.Equal(expected, PreferenceAccuracy.Of([far, far, far, -far, near, -near]).CalibrationError, 1e-6);
    }

    [Fact]
    public void Calibration_finds_the_factor_whose_probabilities_are_the_frequencies()
    {
        // Three of four right at a difference of 2, each with a sixth of its weight on the other side: sigmoid(2 s) = 3/4 * 5/6 + 1/4 * 1/6 = 2/3 where s = ln(2) / 2.
        Assert.Equal(Math.Log(2) / 2, PreferenceAccuracy.BestScale([2, 2, 2, -2]), 1e-5);
        // With many pairs that is the frequency itself, here 3/4.
        Assert.Equal(Math.Log(3) / 2, PreferenceAccuracy.BestScale([.. Enumerable.Range(0, 4000).Select(i => i % 4 == 0 ? -2.0 : 2)]), 1e-3);
    }

    [Fact]
    public void Pairs_that_are_all_right_do_not_make_scores_boundless()
    {
        // sigmoid(2 s) = 5/6 where s = ln(5) / 2.
        Assert.Equal(Math.Log(5) / 2, PreferenceAccuracy.BestScale([2, 2, 2, 2]), 1e-5);
    }
}
