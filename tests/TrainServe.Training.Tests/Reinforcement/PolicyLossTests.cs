using TrainServe.Training.Recipes;
using TrainServe.Training.Reinforcement;
using static TorchSharp.torch;
using TrainServe.Model;

namespace TrainServe.Training.Tests.Reinforcement;

[Collection(TorchFixture.Generator)]
public sealed class PolicyLossTests
{
    [Fact]
    public void The_larger_of_clipped_and_plain_loss_counts()
    {
        using var scope = NewDisposeScope();
        // Ratios 1.5, 1.5, 0.5, 0.5 with advantages 2, -2, 2, -2 and the range 0.2: -2 * 1.2, 2 * 1.5, -2 * 0.5, 2 * 0.8.
        var newN = tensor([1.5f, 1.5f, 0.5f, 0.5f]).log();
        var oldN = zeros(4);
        var advantagesN = tensor([2f, -2, 2, -2]);
        Assert.Equal(-2.4 + 3 - 1 + 1.6, PolicyLoss.Sum(newN, oldN, advantagesN, 0.2).item<float>(), 1e-5);
        var (clipped, divergence) = PolicyLoss.Statistics(newN, oldN, advantagesN, 0.2);
        // The first and the last are held back.
        Assert.Equal(2, clipped);
        Assert.Equal(2 * (0.5 - Math.Log(1.5)) + 2 * (-0.5 - Math.Log(0.5)), divergence, 1e-5);
    }

    [Fact]
    public void A_token_that_is_held_back_has_no_gradient()
    {
        using var scope = NewDisposeScope();
        var newN = tensor([0.5f, 0]).requires_grad_();
        PolicyLoss.Sum(newN, zeros(2), tensor([1f, 1]), 0.2).backward();
        Assert.Equal([0f, -1], newN.grad!.data<float>().ToArray());
    }

    [Fact]
    public void A_value_may_move_no_further_than_the_clip_range()
    {
        using var scope = NewDisposeScope();
        // Value 2 from 1: clipped to 1.2; the return is 2, so that the clipped error, 0.8, is larger than the plain one, 0. Half of its square.
        Assert.Equal(0.5 * 0.64, PolicyLoss.ValueSum(tensor([2f]), tensor([1f]), tensor([2f]), 0.2).item<float>(), 1e-6);
        // Away from the return the plain error counts.
        Assert.Equal(0.5 * 4, PolicyLoss.ValueSum(tensor([2f]), tensor([1f]), tensor([0f]), 0.2).item<float>(), 1e-6);
    }

    [Theory]
    [InlineData(KlEstimator.K2, 0.5 * 0.25)]
    // exp(-x) - 1 + x with x = 0.5
    [InlineData(KlEstimator.K3, 0.10653065971)]
    public void An_estimate_of_the_divergence_is_that_of_its_name(KlEstimator estimator, double expected)
    {
        using var scope = NewDisposeScope();
        Assert.Equal(expected, PolicyLoss.KlSum(tensor([-1f]), tensor([-1.5f]), estimator).item<float>(), 1e-6);
    }

    [Fact]
    public void The_gradient_of_k2_is_the_divergences_and_that_of_k3_is_not()
    {
        using var scope = NewDisposeScope();
        // Three tokens; all are weighted by their probability, as a sample of infinite size would be.
        var reference = tensor([0.2, 0.3, 0.5]).log();
        double[] Gradient(Func<Tensor, Tensor, Tensor> loss)
        {
            var logits = tensor([0.4, 0.1, -0.3]).requires_grad_();
            var logProbs = nn.functional.log_softmax(logits, 0);
            loss(logProbs, logProbs.exp().detach()).backward();
            return logits.grad!.data<double>().ToArray();
        }
        double[] exact = Gradient((logProbs, _) => (logProbs.exp() * (logProbs - reference)).sum());
        double[] k2 = Gradient((logProbs, weights) => (weights * LiveScalar.Of(0.5) * (logProbs - reference).Squared()).sum());
        double[] k3 = Gradient((logProbs, weights) => (weights * ((reference - logProbs).exp() - LiveScalar.Of(1) - (reference - logProbs))).sum());
        Assert.Equal(exact, k2, (expected, actual) => Math.Abs(expected - actual) < 1e-9);
        Assert.True(exact.Zip(k3, (one, other) => Math.Abs(one - other)).Max() > 0.01);
    }
}
