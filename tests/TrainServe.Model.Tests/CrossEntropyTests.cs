using TorchSharp;
using TrainServe.TestSupport;
using static TorchSharp.torch;

namespace TrainServe.Model.Tests;

public sealed class CrossEntropyTests
{
    [Fact]
    public void A_loss_worked_out_by_hand()
    {
        TorchRuntime.Initialize(1);
        using var scope = NewDisposeScope();
        // Probabilities (1/4, 3/4) and (1/2, 1/2); targets 1 and 0: -ln 3/4 and -ln 1/2.
        var logits = tensor(new[] { 0f, MathF.Log(3), 0, 0 }, [1, 2, 2]);
        var targets = tensor(new[] { 1L, 0 }, [1, 2]);
        double first = -Math.Log(0.75), second = Math.Log(2);
        Assert.Equal((first + second) / 2, CrossEntropy.Mean(logits, targets).item<float>(), 1e-6);
        var (sum, count) = CrossEntropy.Sum(logits, targets);
        Assert.Equal(first + second, sum.item<float>(), 1e-6);
        Assert.Equal(2, count);
        Assert.Equal([(float)first, (float)second], CrossEntropy.PerToken(logits, targets).data<float>().ToArray().Select(value => MathF.Round(value, 6)), (a, b) => Math.Abs(a - b) < 2e-6);
    }

    [Fact]
    public void Padding_does_not_change_the_loss()
    {
        using var scope = NewDisposeScope();
        using var model = RandomModels.Create(TinyModels.Config());
        var expected = CrossEntropy.Mean(model.call(RandomModels.Batch([1, 2, 3])), RandomModels.Batch([2, 3, 4])).item<float>();
        foreach (int garbage in (int[])[0, 17])
        {
            var logits = model.call(RandomModels.Batch([1, 2, 3, garbage, garbage]));
            Assert.Equal(expected, CrossEntropy.Mean(logits, RandomModels.Batch([2, 3, 4, -100, -100])).item<float>(), 1e-6f);
        }
    }

    [Fact]
    public void Targets_that_are_all_ignored_are_an_error_for_the_mean_and_nothing_for_the_sum()
    {
        TorchRuntime.Initialize(1);
        using var scope = NewDisposeScope();
        var logits = randn(1, 2, 5);
        var targets = tensor(new[] { -100L, -100 }, [1, 2]);
        Assert.Throws<ArgumentException>(() => CrossEntropy.Mean(logits, targets));
        var (sum, count) = CrossEntropy.Sum(logits, targets);
        Assert.Equal((0f, 0L), (sum.item<float>(), count));
        Assert.Equal([0f, 0f], CrossEntropy.PerToken(logits, targets).data<float>().ToArray());
    }

    [Fact]
    public void Micro_batches_of_unequal_count_give_the_gradient_of_the_whole_batch()
    {
        using var scope = NewDisposeScope();
        using var whole = RandomModels.Create(TinyModels.Config());
        using var parts = RandomModels.Create(TinyModels.Config());
        int[][] ids = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]], targets = [[2, 3, 4, 5], [-100, -100, -100, 9], [10, -100, 12, 13]];
        CrossEntropy.Mean(whole.call(RandomModels.Batch(ids)), RandomModels.Batch(targets)).backward();
        long count = targets.SelectMany(row => row).Count(id => id != -100);
        for (int row = 0; row < ids.Length; row++)
        {
            var (sum, _) = CrossEntropy.Sum(parts.call(RandomModels.Batch(ids[row])), RandomModels.Batch(targets[row]));
            (sum / LiveScalar.Of(count)).backward();
        }
        foreach (var (one, other) in whole.parameters().Zip(parts.parameters()))
        {
            Assert.True(one.grad!.allclose(other.grad!, 1e-4, 1e-7));
        }
    }
}
