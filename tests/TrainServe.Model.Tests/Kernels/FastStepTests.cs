using TorchSharp;
using TrainServe.Core;
using TrainServe.Model.Kernels;
using static TorchSharp.torch;

namespace TrainServe.Model.Tests.Kernels;

/// <summary>libtorch has one generator of random numbers for the process, which no other test may use meanwhile.</summary>
[CollectionDefinition(nameof(FastStepTests), DisableParallelization = true)]
public sealed class FastStepCollection;

/// <summary>The fast step against libtorch's operators in single precision.</summary>
[Collection(nameof(FastStepTests))]
public sealed class FastStepTests
{
    // bfloat16 has 8 bits, so that neighbours are 0.4 to 0.8 % apart, and there are two blocks. In single precision only the order of sums differs.
    private const double AllowedBFloat16 = 0.03, AllowedFloat32 = 1e-4;

    [Theory]
    [InlineData(64, 4, 4, 96, 33, 2, 20)]
    [InlineData(64, 4, 2, 96, 33, 2, 64)]
    [InlineData(96, 6, 1, 160, 1003, 3, 101)]
    [InlineData(96, 2, 2, 112, 70, 1, 17)]
    [InlineData(64, 4, 4, 96, 16384, 3, 101)]
    public void Loss_and_gradients_are_those_of_the_plain_step(int width, int heads, int keyValueHeads, int inner, int vocabulary, int batch, int time)
    {
        using var scope = NewDisposeScope();
        using var model = Model(width, heads, keyValueHeads, inner, vocabulary);
        var (ids, targets) = (Ids(vocabulary, batch, time, 1), Ids(vocabulary, batch, time, 2));
        targets[0, TensorIndex.Slice(0, 5)] = CrossEntropy.IgnoreIndex;
        AssertEqualSteps(model, ids, targets, documentsBT: null);
        AssertEqualSteps(model, ids, targets, documentsBT: null, kernels: Fast(model, TrainingPrecision.Float32));
    }

    [Fact]
    public void Texts_in_one_row_do_not_see_each_other()
    {
        using var scope = NewDisposeScope();
        using var model = Model(64, 4, 2, 96, 50);
        var (ids, targets) = (Ids(50, 2, 90, 1), Ids(50, 2, 90, 2));
        var documentsBT = (LiveScalar.Range(0, 180, CPU) / LiveScalar.Of(37)).floor().to(ScalarType.Int64).view(2, 90);
        AssertEqualSteps(model, ids, targets, documentsBT);
        AssertEqualSteps(model, ids, targets, documentsBT, kernels: Fast(model, TrainingPrecision.Float32));

        // And exactly: what stands before a text changes nothing in it.
        model.Kernels = Fast(model);
        model.eval();
        using var noGradient = no_grad();
        var before = model.Hidden(ids, documentsBT: documentsBT)[0, TensorIndex.Slice(37, 74)];
        ids[0, TensorIndex.Slice(0, 37)] = 3;
        var after = model.Hidden(ids, documentsBT: documentsBT)[0, TensorIndex.Slice(37, 74)];
        Assert.True(after.equal(before).all().item<bool>());
    }

    [Theory]
    [InlineData(TrainingPrecision.Bfloat16)]
    [InlineData(TrainingPrecision.Float32)]
    public void A_pass_without_gradients_keeps_nothing_for_a_backward_pass(TrainingPrecision precision)
    {
        using var scope = NewDisposeScope();
        using var model = Model(64, 4, 4, 96, 50);
        model.Kernels = Fast(model, precision);
        model.eval();
        var ids = Ids(50, 2, 16, 1);
        using var noGradient = no_grad();
        model.Hidden(ids).Dispose();
        long before = DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount;
        model.Hidden(ids).Dispose();
        Assert.Equal(before, DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount);
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(0.2, 0.05)]
    public void Without_kernels_as_on_a_GPU_bfloat16_has_the_plain_steps_loss_and_gradients(double smoothing, double zLoss)
    {
        using var scope = NewDisposeScope();
        // A head size that the kernels cannot do.
        using var model = Model(48, 4, 2, 72, 50);
        var (ids, targets) = (Ids(50, 2, 30, 1), Ids(50, 2, 30, 2));
        targets[0, TensorIndex.Slice(0, 5)] = CrossEntropy.IgnoreIndex;
        var documentsBT = (LiveScalar.Range(0, 60, CPU) / LiveScalar.Of(13)).floor().to(ScalarType.Int64).view(2, 30);
        AssertEqualSteps(model, ids, targets, documentsBT, new LossRegularization((float)smoothing, (float)zLoss), TrainingKernels.PlainBFloat16);
    }

    [Fact]
    public void Label_smoothing_and_z_loss_have_the_plain_steps_gradients()
    {
        using var scope = NewDisposeScope();
        using var model = Model(64, 4, 4, 96, 50);
        var regularization = new LossRegularization(LabelSmoothing: 0.2f, ZLoss: 0.05f);
        AssertEqualSteps(model, Ids(50, 2, 16, 1), Ids(50, 2, 16, 2), null, regularization);
        AssertEqualSteps(model, Ids(50, 2, 16, 1), Ids(50, 2, 16, 2), null, regularization, Fast(model, TrainingPrecision.Float32));
    }

    [Theory]
    [InlineData(TrainingPrecision.Bfloat16)]
    [InlineData(TrainingPrecision.Float32)]
    public void The_same_step_gives_the_same_bits_for_any_number_of_threads(TrainingPrecision precision)
    {
        using var scope = NewDisposeScope();
        using var model = Model(64, 4, 2, 96, 50, dropout: 0.2f);
        model.Kernels = Fast(model, precision);
        model.train();
        var (ids, targets) = (Ids(50, 4, 32, 1), Ids(50, 4, 32, 2));
        var first = Step(model, ids, targets, null);
        var second = Step(model, ids, targets, null);
        Assert.Equal(first.Loss, second.Loss);
        Assert.All(first.Gradients, gradient => Assert.True(gradient.Value.equal(second.Gradients[gradient.Key]).all().item<bool>(), gradient.Key));
    }

    [Theory]
    [InlineData(TrainingPrecision.Bfloat16)]
    [InlineData(TrainingPrecision.Float32)]
    public void Dropout_changes_with_the_seed_and_keeps_the_expected_loss_near(TrainingPrecision precision)
    {
        using var scope = NewDisposeScope();
        using var model = Model(64, 4, 2, 96, 50, dropout: 0.1f);
        model.Kernels = Fast(model, precision);
        var (ids, targets) = (Ids(50, 4, 32, 1), Ids(50, 4, 32, 2));
        model.train();
        double[] losses = [.. Enumerable.Range(0, 8).Select(seed => Step(model, ids, targets, null, seed: seed).Loss)];
        Assert.Equal(8, losses.Distinct().Count());
        model.eval();
        double without = Step(model, ids, targets, null).Loss;
        Assert.InRange(losses.Average() / without, 0.9, 1.1);
    }

    [Theory]
    [InlineData(TrainingPrecision.Bfloat16)]
    [InlineData(TrainingPrecision.Float32)]
    public void The_gradient_under_dropout_is_that_of_the_same_mask(TrainingPrecision precision)
    {
        using var scope = NewDisposeScope();
        using var model = Model(64, 4, 2, 96, 50, dropout: 0.3f);
        model.Kernels = Fast(model, precision);
        model.train();
        var (ids, targets) = (Ids(50, 4, 32, 1), Ids(50, 4, 32, 2));
        var down = model.Blocks[^1].FeedForward.Down;
        var (loss, gradients) = Step(model, ids, targets, null);
        var gradient = gradients["blocks.1.feed_forward.down"];
        // A step along the gradient changes the loss by its length times the gradient's norm, but for curvature and rounding.
        double norm = gradient.norm().item<float>(), length = 0.3 / norm;
        using (no_grad())
        {
            down.add_(gradient, alpha: LiveScalar.Of(length / 2));
        }
        double above = Step(model, ids, targets, null).Loss;
        using (no_grad())
        {
            down.add_(gradient, alpha: LiveScalar.Of(-length));
        }
        double below = Step(model, ids, targets, null).Loss;
        Assert.NotEqual(loss, above);
        Assert.InRange((above - below) / (length * norm * norm), 0.95, 1.05);
    }

    [Theory]
    [InlineData(TrainingPrecision.Bfloat16)]
    [InlineData(TrainingPrecision.Float32)]
    public void The_gradients_of_a_second_pass_are_added_to_those_of_the_first(TrainingPrecision precision)
    {
        using var scope = NewDisposeScope();
        using var model = Model(64, 4, 2, 96, 50);
        model.Kernels = Fast(model, precision);
        var (first, second) = (Ids(50, 2, 16, 1), Ids(50, 2, 16, 2));
        var (alone, other) = (Step(model, first, second, null).Gradients, Step(model, second, first, null).Gradients);
        model.LossSum(model.Hidden(first), second).backward();
        var (_, both) = Step(model, second, first, null);
        Assert.All(both, gradient => Assert.True(gradient.Value.allclose(alone[gradient.Key] + other[gradient.Key], 1e-5, 1e-5), gradient.Key));
    }

    [Theory]
    [InlineData(TrainingPrecision.Bfloat16)]
    [InlineData(TrainingPrecision.Float32)]
    public void A_second_backward_pass_gives_no_number(TrainingPrecision precision)
    {
        using var scope = NewDisposeScope();
        using var model = Model(64, 4, 2, 96, 50);
        model.Kernels = Fast(model, precision);
        var ids = Ids(50, 1, 8, 1);
        var loss = model.LossSum(model.Hidden(ids), ids);
        loss.backward(retain_graph: true);
        loss.backward();
        // Kept for the first pass alone; a step with such a gradient is skipped, and an exception from here would end the process.
        Assert.True(model.EmbeddingWeight.grad!.isnan().any().item<bool>());
    }

    [Fact]
    public void A_model_of_another_shape_falls_back_and_says_why()
    {
        TorchRuntime.Initialize(1);
        using var model = Model(24, 4, 4, 40, 50);
        var kernels = TrainingKernels.Choose(TrainingPrecision.Auto, model);
        Assert.False(kernels.IsFast);
        Assert.NotNull(kernels.Reason);
        Assert.Contains("bfloat16 training is not possible here", Assert.Throws<InvalidDataException>(() => TrainingKernels.Choose(TrainingPrecision.Bfloat16, model)).Message, StringComparison.Ordinal);
        Assert.Equal(TrainingKernels.Plain with { Reason = kernels.Reason }, TrainingKernels.Choose(TrainingPrecision.Float32, model));
    }

    private static void AssertEqualSteps(Transformer model, Tensor ids, Tensor targets, Tensor? documentsBT, LossRegularization regularization = default, TrainingKernels? kernels = null)
    {
        model.Kernels = TrainingKernels.Plain;
        var plain = Step(model, ids, targets, documentsBT, regularization);
        model.Kernels = kernels ?? Fast(model);
        var fast = Step(model, ids, targets, documentsBT, regularization);
        double allowed = model.Kernels.Matrices == ScalarType.BFloat16 ? AllowedBFloat16 : AllowedFloat32;
        Assert.InRange(fast.Loss / plain.Loss, 1 - allowed / 10, 1 + allowed / 10);
        foreach (var (name, expected) in plain.Gradients)
        {
            double difference = ((fast.Gradients[name] - expected).norm() / expected.norm()).item<float>();
            Assert.True(difference < allowed, $"{name}: {difference}");
        }
        using var noGradient = no_grad();
        double evaluated = model.LossSum(model.Hidden(ids, documentsBT: documentsBT), targets, regularization).item<float>();
        Assert.Equal(fast.Loss, evaluated);
    }

    private static (double Loss, Dictionary<string, Tensor> Gradients) Step(Transformer model, Tensor ids, Tensor targets, Tensor? documentsBT, LossRegularization regularization = default, long seed = 0)
    {
        manual_seed(seed);
        var loss = model.LossSum(model.Hidden(ids, documentsBT: documentsBT), targets, regularization);
        loss.backward();
        var gradients = model.named_parameters().ToDictionary(parameter => parameter.name, parameter => parameter.parameter.grad!.clone(), StringComparer.Ordinal);
        foreach (var parameter in model.parameters())
        {
            parameter.grad = null;
        }
        return (loss.item<float>(), gradients);
    }

    private static Transformer Model(int width, int heads, int keyValueHeads, int inner, int vocabulary, float dropout = 0)
    {
        var model = RandomModels.Create(new ModelConfig
        {
            VocabSize = vocabulary,
            HiddenSize = width,
            IntermediateSize = inner,
            NumHiddenLayers = 2,
            NumAttentionHeads = heads,
            NumKeyValueHeads = keyValueHeads,
            HeadDim = width / heads,
            MaxPositionEmbeddings = 128,
        }, dropout: dropout);
        using var noGradient = no_grad();
        foreach (var matrix in model.parameters().Where(parameter => parameter.dim() > 1))
        {
            // Weights like a trained model's: with larger ones each layer multiplies the rounding of the one before.
            matrix.mul_(LiveScalar.Of(0.3));
        }
        return model;
    }

    private static TrainingKernels Fast(Transformer model, TrainingPrecision precision = TrainingPrecision.Bfloat16)
    {
        Assert.SkipUnless(Lanes.IsSupported, "The kernels need AVX-512.");
        return TrainingKernels.Choose(precision, model);
    }

    private static Tensor Ids(int vocabulary, int batch, int time, ulong seed) =>
        tensor(RandomModels.Ids(batch * time, vocabulary, seed).Select(id => (long)id).ToArray(), [batch, time]);
}
