using TorchSharp;
using TrainServe.Model.Kernels;
using TrainServe.TestSupport;
using TrainServe.Model.Tests.Kernels;
using static TorchSharp.torch;

namespace TrainServe.Model.Tests;

/// <summary>Blocks that are computed again in the backward pass.</summary>
[Collection(nameof(FastStepTests))]
public sealed class ActivationCheckpointingTests
{
    private const int Vocabulary = 50, Batch = 2, Time = 32;

    public static TheoryData<string, float, bool> Steps => new(
        from kernels in new[] { "float32", "bfloat16", "fast" }
        from dropout in new[] { 0f, 0.2f }
        from hasDocuments in new[] { false, true }
        select (kernels, dropout, hasDocuments));

    [Theory]
    [MemberData(nameof(Steps))]
    public void Loss_gradients_and_later_draws_are_the_same_to_the_last_bit(string kernels, float dropout, bool hasDocuments)
    {
        using var scope = NewDisposeScope();
        using var model = Model(kernels, dropout);
        var documentsBT = hasDocuments ? (LiveScalar.Range(0, Batch * Time, CPU) / LiveScalar.Of(13)).floor().to(ScalarType.Int64).view(Batch, Time) : null;
        var (loss, gradients, draw) = Step(model, documentsBT);
        model.ActivationCheckpointing = true;
        var again = Step(model, documentsBT);
        Assert.Equal(loss, again.Loss);
        Assert.Equal(gradients.Keys, again.Gradients.Keys);
        Assert.All(gradients, gradient => Assert.True(gradient.Value.equal(again.Gradients[gradient.Key]).all().item<bool>(), gradient.Key));
        // The next micro-batch drops the same.
        Assert.Equal(draw, again.Draw);
        Assert.All(gradients, gradient => Assert.True(gradient.Value.norm().item<float>() > 0, gradient.Key));
    }

    [Fact]
    public void Attentions_own_dropout_is_replayed_too()
    {
        using var scope = NewDisposeScope();
        using var model = RandomModels.Create(TinyModels.Config(Vocabulary, hiddenSize: 32, intermediateSize: 64) with { AttentionDropout = 0.2f });
        model.train();
        var plain = Step(model, documentsBT: null);
        model.ActivationCheckpointing = true;
        var again = Step(model, documentsBT: null);
        Assert.All(plain.Gradients, gradient => Assert.True(gradient.Value.equal(again.Gradients[gradient.Key]).all().item<bool>(), gradient.Key));
    }

    [Theory]
    [InlineData("float32")]
    [InlineData("fast")]
    public void Gradients_are_added_over_passes_and_told_of_block_by_block(string kernels)
    {
        using var scope = NewDisposeScope();
        using var model = Model(kernels, dropout: 0);
        var (_, once, _) = Step(model, documentsBT: null);
        model.ActivationCheckpointing = true;
        var told = new List<int>();
        var complete = new List<bool>();
        Loss(model, documentsBT: null).backward();
        model.BlockGradientsDone = layer =>
        {
            told.Add(layer);
            // Those of both passes are in.
            complete.Add(model.named_parameters().Where(parameter => parameter.name.StartsWith($"blocks.{layer}.", StringComparison.Ordinal))
                .All(parameter => parameter.parameter.grad!.allclose(once[parameter.name] * LiveScalar.Of(2), 1e-5, 1e-6)));
        };
        Loss(model, documentsBT: null).backward();
        Assert.Equal([1, 0], told);
        Assert.All(complete, Assert.True);
    }

    [Theory]
    [InlineData("float32")]
    [InlineData("fast")]
    public void A_second_backward_pass_gives_no_number(string kernels)
    {
        using var scope = NewDisposeScope();
        using var model = Model(kernels, dropout: 0);
        model.ActivationCheckpointing = true;
        var loss = Loss(model, documentsBT: null);
        loss.backward(retain_graph: true);
        loss.backward();
        Assert.True(model.EmbeddingWeight.grad!.isnan().any().item<bool>());
    }

    [Theory]
    [InlineData("float32")]
    [InlineData("fast")]
    public void Nothing_stays_behind_after_a_step_or_after_a_pass_without_gradients(string kernels)
    {
        using var scope = NewDisposeScope();
        using var model = Model(kernels, dropout: 0.1f);
        model.ActivationCheckpointing = true;
        Pass();
        long before = DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount;
        Pass();
        Assert.Equal(before, DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount);

        void Pass()
        {
            using var inner = NewDisposeScope();
            Loss(model, documentsBT: null).backward();
            foreach (var parameter in model.parameters())
            {
                parameter.grad = null;
            }
            using var noGradient = no_grad();
            Loss(model, documentsBT: null).Dispose();
        }
    }

    private static Transformer Model(string kernels, float dropout)
    {
        var model = RandomModels.Create(TinyModels.Config(Vocabulary, hiddenSize: 64, intermediateSize: 96, layers: 2, heads: 4, keyValueHeads: 2), dropout: dropout);
        Assert.SkipUnless(kernels != "fast" || Lanes.IsSupported, "The kernels need AVX-512.");
        model.Kernels = kernels switch
        {
            "float32" => TrainingKernels.Plain,
            "bfloat16" => TrainingKernels.PlainBFloat16,
            _ => TrainingKernels.Choose(TrainingPrecision.Bfloat16, model),
        };
        model.train();
        return model;
    }

    private static Tensor Loss(Transformer model, Tensor? documentsBT) => model.LossSum(model.Hidden(Ids(1), documentsBT: documentsBT), Ids(2));

    private static (float Loss, Dictionary<string, Tensor> Gradients, long Draw) Step(Transformer model, Tensor? documentsBT)
    {
        manual_seed(5);
        var loss = Loss(model, documentsBT);
        loss.backward();
        var gradients = model.named_parameters().ToDictionary(parameter => parameter.name, parameter => parameter.parameter.grad!.clone(), StringComparer.Ordinal);
        foreach (var parameter in model.parameters())
        {
            parameter.grad = null;
        }
        return (loss.item<float>(), gradients, randint(long.MaxValue, [1], ScalarType.Int64).item<long>());
    }

    private static Tensor Ids(ulong seed) => tensor(RandomModels.Ids(Batch * Time, Vocabulary, seed).Select(id => (long)id).ToArray(), [Batch, Time]);
}
