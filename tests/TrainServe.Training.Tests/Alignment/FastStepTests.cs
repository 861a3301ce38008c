using TorchSharp;
using TrainServe.Core;
using TrainServe.Model;
using TrainServe.TestSupport;
using TrainServe.Training.Alignment;
using TrainServe.Training.Reinforcement;
using TrainServe.Training.RewardModeling;
using static TorchSharp.torch;

namespace TrainServe.Training.Tests.Alignment;

// N tokens of all answers together.

/// <summary>The objectives of alignment on the fast kernels against libtorch's operators in single precision: rows of different length, prompts that are not learned from.</summary>
[Collection(TorchFixture.Generator)]
public sealed class FastStepTests
{
    // bfloat16 has 8 bits, so that neighbours are 0.4 to 0.8 % apart, and there are two blocks.
    private const double Allowed = 0.03;
    private static readonly Answer[] Rows = [new([1, 2, 3, 4, 5, 6, 7], 3), new([9, 8, 7], 1), new([4, 4, 4, 11, 12, 13], 2), new([20, 21, 22, 23], 3)];

    [Fact]
    public void The_policys_loss_and_gradients_are_those_of_the_plain_step() => AssertEqualSteps(isReward: false, model =>
    {
        var (newN, entropyN) = AnswerTensors.LogProbs(model, Rows, padding: 0, withEntropy: true);
        var oldN = newN.detach() + LiveScalar.Of(0.05);
        var advantagesN = tensor([1f, -1f, 0.5f, 2f, -1f, 1f, 1f, -2f, 1f, 0.5f, 1f]);
        return PolicyLoss.Sum(newN, oldN, advantagesN, clipRange: 0.2) - LiveScalar.Of(0.01) * entropyN!.sum();
    });

    [Fact]
    public void The_reward_models_loss_and_gradients_are_those_of_the_plain_step() => AssertEqualSteps(isReward: true, model =>
    {
        var scoresB = AnswerTensors.Scores(model, Rows, padding: 0);
        return PreferenceLoss.Sum(scoresB.narrow(0, 0, 2), scoresB.narrow(0, 2, 2), zeros(2));
    });

    [Fact]
    public void Scores_along_answers_and_the_next_token_have_the_gradients_of_the_plain_step() => AssertEqualSteps(isReward: true, model =>
    {
        var (hiddenBTC, chosenB, rejectedB) = AnswerTensors.Pairs(model, Rows[..2], Rows[2..], padding: 0);
        var (chosenN, rejectedN, weightsN) = AnswerTensors.ScoresAlong(model, hiddenBTC, Rows[..2], Rows[2..]);
        var next = model.LossSum(hiddenBTC.narrow(0, 0, 2), AnswerTensors.Targets(Rows[..2], hiddenBTC.shape[1], CPU));
        return PreferenceLoss.Sum(chosenB, rejectedB, zeros(2)) + PreferenceLoss.AlongSum(chosenN, rejectedN, weightsN) + next;
    }, isTied: true);

    [Fact]
    public void The_same_kernels_before_and_in_the_update_give_the_ratio_one()
    {
        using var scope = NewDisposeScope();
        using var model = Model(isReward: false);
        model.Kernels = Fast(model);
        model.eval();
        Tensor oldN;
        using (no_grad())
        {
            oldN = AnswerTensors.LogProbs(model, Rows, padding: 0).LogProbsN;
        }
        var newN = AnswerTensors.LogProbs(model, Rows, padding: 0).LogProbsN;
        Assert.Equal((0, 0), PolicyLoss.Statistics(newN, oldN, ones_like(newN), clipRange: 1e-6));
    }

    private static void AssertEqualSteps(bool isReward, Func<Transformer, Tensor> lossOf, bool isTied = false)
    {
        using var scope = NewDisposeScope();
        using var model = Model(isReward, isTied);
        var (plainLoss, plain) = Step(model, TrainingKernels.Plain, lossOf);
        var (fastLoss, fast) = Step(model, Fast(model), lossOf);
        Assert.InRange(Math.Abs(fastLoss - plainLoss), 0, Allowed * Math.Abs(plainLoss));
        foreach (var (name, gradient) in plain)
        {
            double size = gradient.norm().item<float>(), difference = (fast[name] - gradient).norm().item<float>();
            Assert.True(difference <= Allowed * Math.Max(size, 1e-3), $"{name}: {difference} of {size}");
        }
    }

    private static (double Loss, Dictionary<string, Tensor> Gradients) Step(Transformer model, TrainingKernels kernels, Func<Transformer, Tensor> lossOf)
    {
        model.Kernels = kernels;
        model.eval();
        model.zero_grad();
        var loss = lossOf(model);
        loss.backward();
        return (loss.item<float>(), model.named_parameters().ToDictionary(parameter => parameter.name, parameter => parameter.parameter.grad!.clone(), StringComparer.Ordinal));
    }

    private static TrainingKernels Fast(Transformer model)
    {
        Assert.SkipUnless(System.Runtime.Intrinsics.X86.Avx512F.IsSupported, "The processor lacks AVX-512.");
        return TrainingKernels.Choose(TrainingPrecision.Bfloat16, model);
    }

    private static Transformer Model(bool isReward, bool isTied = false)
    {
        var config = TinyModels.Config(32) with { TieWordEmbeddings = isTied, HiddenSize = 64, IntermediateSize = 96, NumAttentionHeads = 4, NumKeyValueHeads = 2, NumHiddenLayers = 2, HeadDim = 16 };
        var model = new Transformer(isReward ? config with { Architectures = [ModelConfig.RewardModel], NumLabels = 1 } : config);
        model.Initialize(7);
        return model;
    }
}
