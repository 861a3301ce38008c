using TrainServe.Training.PreferenceOptimization;
using TrainServe.Training.Recipes;
using static TorchSharp.torch;

namespace TrainServe.Training.Tests.PreferenceOptimization;

[Collection(TorchFixture.Generator)]
public sealed class DpoLossTests
{
    // Log-probabilities of policy and reference: the policy's gap is -2 - -5 = 3, the reference's -3 - -4 = 1, so that the gap above the reference's is 2.
    private static double Loss(DpoSection settings, float policyChosen = -2, float policyRejected = -5)
    {
        using var scope = NewDisposeScope();
        return DpoLoss.PerPair(tensor([policyChosen]), tensor([policyRejected]), tensor([-3f]), tensor([-4f]), settings).item<float>();
    }

    [Fact]
    public void The_loss_is_that_of_the_papers_equation_7() => Assert.Equal(Math.Log(1 + Math.Exp(-0.5 * 2)), Loss(new DpoSection { Beta = 0.5 }), 1e-6);

    [Fact]
    public void Where_the_policy_is_the_reference_the_loss_is_the_logarithm_of_2() => Assert.Equal(Math.Log(2), Loss(new DpoSection(), -3, -4), 1e-6);

    [Fact]
    public void Label_smoothing_mixes_in_the_loss_of_the_other_label() =>
        Assert.Equal(0.9 * Math.Log(1 + Math.Exp(-1)) + 0.1 * Math.Log(1 + Math.Exp(1)), Loss(new DpoSection { Beta = 0.5, LabelSmoothing = 0.1 }), 1e-6);

    [Fact]
    public void Ipo_is_the_squared_distance_to_half_the_inverse_of_beta() =>
        // (2 - 1 / (2 * 0.5))^2
        Assert.Equal(1, Loss(new DpoSection { Beta = 0.5, Loss = DpoLossKind.Ipo }), 1e-6);

    [Theory]
    [InlineData(DpoLossKind.Sigmoid, -6f, -8f)]
    [InlineData(DpoLossKind.Ipo, -2f, -4f)]
    public void Whole_answers_are_compared_and_of_ipo_the_means_of_their_tokens(DpoLossKind kind, float first, float second)
    {
        using var scope = NewDisposeScope();
        Assert.Equal([first, second], DpoLoss.PerAnswer(tensor([-6f, -8f]), tensor([3f, 2f]), kind).data<float>().ToArray());
    }

    [Fact]
    public void The_gradient_raises_the_better_answer_and_lowers_the_other_by_the_same()
    {
        using var scope = NewDisposeScope();
        var chosen = tensor([-2f]).requires_grad_();
        var rejected = tensor([-5f]).requires_grad_();
        DpoLoss.PerPair(chosen, rejected, tensor([-3f]), tensor([-4f]), new DpoSection { Beta = 0.5 }).sum().backward();
        // -beta * sigmoid(-beta * gap)
        double expected = -0.5 / (1 + Math.Exp(1));
        Assert.Equal(expected, chosen.grad!.item<float>(), 1e-6);
        Assert.Equal(-expected, rejected.grad!.item<float>(), 1e-6);
    }
}
