using TorchSharp;
using TrainServe.Core;
using TrainServe.Model.Generation;
using TrainServe.TestSupport;
using static TorchSharp.torch;

namespace TrainServe.Model.Tests;

// B batch, T time, V vocabulary.
public sealed class TransformerTests
{
    public static TheoryData<string> Shapes => ["grouped", "tied", "one head each", "single key-value head", "wide heads"];

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Logits_equal_those_of_plain_loops_in_double_precision(string shape)
    {
        using var scope = NewDisposeScope();
        using var model = RandomModels.Create(ConfigOf(shape));
        var ids = RandomModels.Ids(9, model.Config.VocabSize);
        var expected = new ReferenceTransformer(model.Config, RandomModels.Weights(model)).Logits(ids);
        var logitsTV = model.call(RandomModels.Batch(ids))[0];
        Assert.Equal(0, LargestDifference(expected, logitsTV), 1e-5);
    }

    [Fact]
    public void A_reward_model_scores_every_position_as_plain_loops_do()
    {
        using var scope = NewDisposeScope();
        using var model = RandomModels.Create(TinyModels.RewardModel());
        var ids = RandomModels.Ids(6, model.Config.VocabSize);
        var expected = new ReferenceTransformer(model.Config, RandomModels.Weights(model)).Scores(ids);
        var scoresBT = model.call(RandomModels.Batch(ids));
        Assert.Equal([1, 6], scoresBT.shape);
        Assert.Equal(0, LargestDifference([expected], scoresBT), 1e-5);
    }

    [Fact]
    public void A_later_token_changes_no_earlier_logits()
    {
        using var scope = NewDisposeScope();
        using var model = RandomModels.Create(TinyModels.Config());
        var ids = RandomModels.Ids(8, 32);
        int[] changed = [.. ids[..5], (ids[5] + 1) % 32, .. ids[6..]];
        var before = model.call(RandomModels.Batch(ids));
        var after = model.call(RandomModels.Batch(changed));
        var difference = (before - after).abs().amax([0, 2]).data<float>().ToArray();
        Assert.All(difference[..5], value => Assert.Equal(0f, value));
        Assert.All(difference[5..], value => Assert.True(value > 1e-3f, $"The changed token had no effect: {value}."));
    }

    [Fact]
    public void A_row_does_not_depend_on_the_rows_beside_it()
    {
        using var scope = NewDisposeScope();
        using var model = RandomModels.Create(TinyModels.Config());
        int[] first = RandomModels.Ids(7, 32, 1), second = RandomModels.Ids(7, 32, 2);
        var both = model.call(RandomModels.Batch(first, second));
        Assert.True(both[1].allclose(model.call(RandomModels.Batch(second))[0], 1e-5, 1e-5));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(12)]
    public void Logits_with_a_cache_equal_those_without_for_any_size_of_chunk(int chunk)
    {
        using var scope = NewDisposeScope();
        using var model = RandomModels.Create(TinyModels.Config());
        int[] first = RandomModels.Ids(12, 32, 1), second = RandomModels.Ids(12, 32, 2);
        var expectedBTV = model.call(RandomModels.Batch(first, second));
        using var cache = new TorchKvCache(model.Config, batch: 2, capacity: 12);
        for (int start = 0; start < 12; start += chunk)
        {
            var hiddenBTC = model.Hidden(RandomModels.Batch(first[start..(start + chunk)], second[start..(start + chunk)]), cache: cache);
            Assert.True(model.Head(hiddenBTC).allclose(expectedBTV.narrow(1, start, chunk), 1e-5, 1e-5), $"Different from token {start} on.");
        }
        Assert.Equal(12, cache.Length);
    }

    [Fact]
    public void A_cache_that_was_cut_back_goes_on_from_there()
    {
        using var scope = NewDisposeScope();
        using var model = RandomModels.Create(TinyModels.Config());
        var ids = RandomModels.Ids(8, 32);
        using var cache = new TorchKvCache(model.Config, 1, 8);
        _ = model.Hidden(RandomModels.Batch([.. ids[..4], 9, 9, 9]), cache: cache);
        cache.Truncate(4);
        var hidden = model.Hidden(RandomModels.Batch(ids[4..]), cache: cache);
        Assert.True(hidden.allclose(model.Hidden(RandomModels.Batch(ids)).narrow(1, 4, 4), 1e-5, 1e-5));
    }

    [Fact]
    public void Documents_packed_into_one_row_give_what_each_gives_alone()
    {
        using var scope = NewDisposeScope();
        using var model = RandomModels.Create(TinyModels.Config());
        int[] first = RandomModels.Ids(4, 32, 1), second = RandomModels.Ids(5, 32, 2);
        var documents = RandomModels.Batch([0, 0, 0, 0, 1, 1, 1, 1, 1]);
        var positions = RandomModels.Batch([0, 1, 2, 3, 0, 1, 2, 3, 4]);
        var packed = model.Hidden(RandomModels.Batch([.. first, .. second]), positions, AttentionMask.Documents(documents));
        Assert.True(packed.narrow(1, 0, 4).allclose(model.Hidden(RandomModels.Batch(first)), 1e-5, 1e-5));
        Assert.True(packed.narrow(1, 4, 5).allclose(model.Hidden(RandomModels.Batch(second)), 1e-5, 1e-5));
    }

    [Fact]
    public void Padding_on_the_left_does_not_change_the_logits_of_what_follows()
    {
        using var scope = NewDisposeScope();
        using var model = RandomModels.Create(TinyModels.Config());
        var ids = RandomModels.Ids(5, 32);
        var expected = model.call(RandomModels.Batch(ids))[0];
        foreach (int garbage in (int[])[0, 31])
        {
            var positions = RandomModels.Batch([0, 0, 0, 0, 1, 2, 3, 4]);
            var mask = AttentionMask.LeftPadded(tensor(new[] { 3L }), 8, 8);
            var hidden = model.Hidden(RandomModels.Batch([garbage, garbage, garbage, .. ids]), positions, mask);
            Assert.True(model.Head(hidden)[0].narrow(0, 3, 5).allclose(expected, 1e-5, 1e-5));
            Assert.False(hidden.isnan().any().item<bool>());
        }
    }

    [Fact]
    public void Gradients_equal_finite_differences()
    {
        using var scope = NewDisposeScope();
        using var model = RandomModels.Create(TinyModels.Config(layers: 1, tied: true), ScalarType.Float64);
        var ids = RandomModels.Batch(RandomModels.Ids(6, 32));
        var targets = RandomModels.Batch([1, 5, -100, 7, 30, 2]);
        Loss().backward();
        const double step = 1e-5;
        foreach (var (name, parameter) in model.named_parameters())
        {
            var flat = parameter.detach().view(-1);
            var gradient = parameter.grad!.view(-1);
            for (long i = 0; i < flat.shape[0]; i += Math.Max(1, flat.shape[0] / 7))
            {
                double value = flat[i].item<double>();
                double above = LossWith(value + step), below = LossWith(value - step);
                flat[i] = tensor(value, ScalarType.Float64);
                double numeric = (above - below) / (2 * step);
                Assert.True(Math.Abs(numeric - gradient[i].item<double>()) < 1e-7 + 1e-5 * Math.Abs(numeric), $"{name}[{i}]: {gradient[i].item<double>()} where differences give {numeric}.");

                double LossWith(double changed)
                {
                    using var noGradient = no_grad();
                    flat[i] = tensor(changed, ScalarType.Float64);
                    return Loss().item<double>();
                }
            }
        }

        Tensor Loss() => CrossEntropy.Mean(model.call(ids), targets);
    }

    [Fact]
    public void A_tied_head_shares_weight_and_gradient_with_the_embedding()
    {
        using var scope = NewDisposeScope();
        using var model = RandomModels.Create(TinyModels.Config(tied: true));
        CrossEntropy.Mean(model.call(RandomModels.Batch([3, 4])), RandomModels.Batch([4, 5])).backward();
        var gradientVC = Assert.Single(model.named_parameters(), weight => weight.name.StartsWith("embedding", StringComparison.Ordinal)).parameter.grad!;
        // Token 20 is neither read nor wanted: only the head, where its probability must fall, can have made its gradient.
        Assert.True(gradientVC[20].abs().max().item<float>() > 1e-4f);
        Assert.DoesNotContain(model.named_parameters(), weight => weight.name == "head");
        Assert.Equal(model.Config.ParameterCount, model.parameters().Sum(weight => weight.numel()));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Parameters_are_as_many_as_the_config_says(bool tied)
    {
        using var scope = NewDisposeScope();
        using var model = RandomModels.Create(TinyModels.Config(tied: tied));
        Assert.Equal(model.Config.ParameterCount, model.parameters().Sum(weight => weight.numel()));
        Assert.All(model.parameters(), weight => Assert.True(weight.requires_grad));
    }

    [Fact]
    public void Dropout_works_in_training_and_not_in_evaluation()
    {
        using var scope = NewDisposeScope();
        using var model = RandomModels.Create(TinyModels.Config(), dropout: 0.5f);
        using var plain = RandomModels.Create(TinyModels.Config());
        var ids = RandomModels.Batch(RandomModels.Ids(6, 32));
        Assert.True(model.call(ids).equal(plain.call(ids)).all().item<bool>());
        model.train();
        manual_seed(1);
        var first = model.call(ids);
        Assert.False(first.allclose(model.call(ids)));
        manual_seed(1);
        Assert.True(first.equal(model.call(ids)).all().item<bool>());
    }

    [Fact]
    public void More_tokens_than_the_context_are_refused()
    {
        using var scope = NewDisposeScope();
        using var model = RandomModels.Create(TinyModels.Config(maxPositions: 8));
        var error = Assert.Throws<ArgumentException>(() => model.call(RandomModels.Batch(RandomModels.Ids(9, 32))));
        Assert.Contains("9 tokens do not fit the model's context of 8.", error.Message, StringComparison.Ordinal);
        using var cache = new TorchKvCache(model.Config, 1, 4);
        Assert.Throws<ArgumentException>(() => model.Hidden(RandomModels.Batch(RandomModels.Ids(5, 32)), cache: cache));
        Assert.Throws<ArgumentException>(() => model.Hidden(RandomModels.Batch([1], [2]), cache: cache));
    }

    [Fact]
    public void Two_hundred_training_steps_leave_no_tensor_behind()
    {
        using var model = RandomModels.Create(TinyModels.Config());
        model.train();
        using var optimizer = optim.SGD(model.parameters(), 0.01);
        Step();
        // Counted on this thread only: other tests run beside this one.
        var statistics = DisposeScopeManager.Statistics.TensorStatistics;
        long before = statistics.ThreadTotalLiveCount;
        for (int step = 0; step < 200; step++)
        {
            Step();
        }
        Assert.Equal(before, statistics.ThreadTotalLiveCount);

        void Step()
        {
            using var scope = NewDisposeScope();
            optimizer.zero_grad();
            CrossEntropy.Mean(model.call(RandomModels.Batch([1, 2, 3, 4])), RandomModels.Batch([2, 3, 4, 5])).backward();
            optimizer.step();
        }
    }

    private static ModelConfig ConfigOf(string shape) => shape switch
    {
        "tied" => TinyModels.Config(tied: true),
        "one head each" => TinyModels.Config(keyValueHeads: 4),
        "single key-value head" => TinyModels.Config(keyValueHeads: 1),
        "wide heads" => TinyModels.Config() with { HeadDim = 12, RopeTheta = 500 },
        _ => TinyModels.Config(),
    };

    private static double LargestDifference(double[][] expected, Tensor actual)
    {
        Assert.Equal([expected.Length, expected[0].Length], actual.shape);
        var values = actual.contiguous().data<float>().ToArray();
        return expected.SelectMany(row => row).Zip(values, (e, a) => Math.Abs(e - a)).Max();
    }
}
