using TorchSharp;
using TrainServe.Core.Random;
using TrainServe.Core.Sampling;
using TrainServe.Model.Generation;
using TrainServe.TestSupport;

namespace TrainServe.Model.Tests.Generation;

public sealed class TextGeneratorTests
{
    private static readonly SamplingParameters Greedy = SamplingParameters.Greedy;

    [Fact]
    public void Greedy_ids_are_those_of_a_whole_pass_for_each_token()
    {
        using var scope = torch.NewDisposeScope();
        using var model = RandomModels.Create(TinyModels.Config());
        int[] prompt = [3, 1, 4];
        var expected = new List<int>(prompt);
        for (int i = 0; i < 12; i++)
        {
            expected.Add((int)model.call(RandomModels.Batch([.. expected]))[0][-1].argmax().item<long>());
        }
        var generated = new TextGenerator(model).Generate(prompt, 12, Greedy);
        Assert.Equal(expected[3..], generated.Ids);
        Assert.False(generated.Stopped);
    }

    [Fact]
    public void Log_probs_are_those_of_the_model_for_greedy_and_for_sampled_tokens()
    {
        using var scope = torch.NewDisposeScope();
        using var model = RandomModels.Create(TinyModels.Config());
        foreach (float temperature in (float[])[0, 1.7f])
        {
            int[] prompt = [5, 9];
            var generated = new TextGenerator(model).Generate(prompt, 10, new SamplingParameters { Temperature = temperature, Seed = 11 });
            int[] all = [.. prompt, .. generated.Ids];
            var logProbs = model.call(RandomModels.Batch(all))[0].log_softmax(-1);
            for (int i = 0; i < 10; i++)
            {
                Assert.Equal(logProbs[i + 1, all[i + 2]].item<float>(), generated.LogProbs[i], 1e-4f);
            }
        }
    }

    [Fact]
    public void A_model_that_is_trained_by_kernels_samples_by_their_products_and_gives_the_same()
    {
        using var model = RandomModels.Create(TinyModels.Config() with { HiddenSize = 64, IntermediateSize = 96, HeadDim = 16 });
        int[][] prompts = [.. Enumerable.Range(0, 6).Select(i => RandomModels.Ids(4 + i, 32, (ulong)i))];
        var plain = new TextGenerator(model).GenerateBatch(prompts, 12, Greedy);
        model.Kernels = TrainingKernels.Choose(TrainingPrecision.Auto, model);
        Assert.SkipUnless(model.Kernels.IsFast, "The kernels need AVX-512.");
        var fast = new TextGenerator(model).GenerateBatch(prompts, 12, Greedy);
        Assert.All(plain.Zip(fast), pair =>
        {
            Assert.Equal(pair.First.Ids, pair.Second.Ids);
            Assert.All(pair.First.LogProbs.Zip(pair.Second.LogProbs), logProbs => Assert.Equal(logProbs.First, logProbs.Second, 1e-4f));
        });
    }

    [Fact]
    public void Prompts_of_different_length_give_together_what_each_gives_alone()
    {
        using var model = RandomModels.Create(TinyModels.Config());
        var generator = new TextGenerator(model);
        int[][] prompts = [RandomModels.Ids(9, 32, 1), RandomModels.Ids(2, 32, 2), RandomModels.Ids(5, 32, 3), RandomModels.Ids(9, 32, 4)];
        var together = generator.GenerateBatch(prompts, 16, Greedy);
        for (int row = 0; row < prompts.Length; row++)
        {
            var alone = generator.Generate(prompts[row], 16, Greedy);
            Assert.Equal(alone.Ids, together[row].Ids);
            Assert.All(alone.LogProbs.Zip(together[row].LogProbs), pair => Assert.Equal(pair.First, pair.Second, 1e-4f));
        }
    }

    [Fact]
    public void Equal_prompts_and_rows_that_stop_early_leave_every_answer_as_it_is_alone()
    {
        using var model = RandomModels.Create(TinyModels.Config());
        var generator = new TextGenerator(model);
        int[] one = RandomModels.Ids(7, 32, 1), other = RandomModels.Ids(4, 32, 2);
        // Equal by their ids, not only by being the same array.
        int[][] prompts = [one, other, [.. one], one, [.. other], RandomModels.Ids(9, 32, 3), one, one];
        // One token in eight stops, so that rows leave one after the other.
        int[] stops = [0, 8, 16, 24];
        var sampling = new SamplingParameters { Temperature = 1.3f, Seed = 5 };
        var together = generator.GenerateBatch(prompts, 20, sampling, stops);
        for (int row = 0; row < prompts.Length; row++)
        {
            ulong seed = row == 0 ? 5 : new PhiloxRandom(5, stream: (ulong)row).NextUInt64();
            var alone = generator.Generate(prompts[row], 20, sampling with { Seed = seed }, stops);
            Assert.Equal(alone.Ids, together[row].Ids);
            Assert.Equal(alone.Stopped, together[row].Stopped);
            Assert.All(alone.LogProbs.Zip(together[row].LogProbs), pair => Assert.Equal(pair.First, pair.Second, 1e-4f));
        }
        Assert.True(together.Select(answer => answer.Ids.Length).Distinct().Count() > 3);
    }

    [Fact]
    public void The_same_seed_gives_the_same_answer_and_equal_prompts_of_a_batch_different_ones()
    {
        using var model = RandomModels.Create(TinyModels.Config());
        var generator = new TextGenerator(model);
        var sampling = new SamplingParameters { Seed = 42 };
        var first = generator.GenerateBatch([[1, 2], [1, 2]], 20, sampling);
        var again = generator.GenerateBatch([[1, 2], [1, 2]], 20, sampling);
        Assert.Equal(first[0].Ids, again[0].Ids);
        Assert.Equal(first[1].Ids, again[1].Ids);
        Assert.NotEqual(first[0].Ids, first[1].Ids);
        Assert.Equal(first[0].Ids, generator.Generate([1, 2], 20, sampling).Ids);
        Assert.NotEqual(first[0].Ids, generator.Generate([1, 2], 20, sampling with { Seed = 43 }).Ids);
    }

    [Fact]
    public void A_stop_token_ends_its_row_and_is_the_last_of_its_ids()
    {
        using var model = RandomModels.Create(TinyModels.Config());
        var generator = new TextGenerator(model);
        int[][] prompts = [[1, 2, 3], [7, 8]];
        var whole = generator.GenerateBatch(prompts, 20, Greedy);
        int stop = whole[0].Ids[4];
        var stopped = generator.GenerateBatch(prompts, 20, Greedy, [stop]);
        for (int row = 0; row < 2; row++)
        {
            int end = Array.IndexOf(whole[row].Ids, stop);
            Assert.Equal(end >= 0, stopped[row].Stopped);
            Assert.Equal(end >= 0 ? whole[row].Ids[..(end + 1)] : whole[row].Ids, stopped[row].Ids);
            Assert.Equal(end >= 0 ? whole[row].Ids[..end] : whole[row].Ids, stopped[row].ContentIds);
            Assert.Equal(stopped[row].Ids.Length, stopped[row].LogProbs.Length);
        }
        Assert.True(stopped[0].Stopped);
    }

    [Fact]
    public void An_answer_ends_where_the_context_ends()
    {
        using var model = RandomModels.Create(TinyModels.Config(maxPositions: 8));
        var generated = new TextGenerator(model).Generate([1, 2, 3], 100, Greedy);
        Assert.Equal(5, generated.Ids.Length);
        Assert.False(generated.Stopped);
    }

    [Fact]
    public void Dropout_is_off_while_it_generates_and_back_on_after()
    {
        using var model = RandomModels.Create(TinyModels.Config(), dropout: 0.5f);
        var generator = new TextGenerator(model);
        var expected = generator.Generate([1], 10, Greedy).Ids;
        model.train();
        Assert.Equal(expected, generator.Generate([1], 10, Greedy).Ids);
        Assert.True(model.training);
    }

    [Theory]
    [InlineData(new int[0], "The prompt has no tokens")]
    [InlineData(new[] { 1, 2, 3, 4, 5, 6, 7, 8 }, "The prompt has 8 tokens; the model's context of 8")]
    [InlineData(new[] { 1, 32 }, "The prompt holds the token 32; the vocabulary has 0 to 31")]
    [InlineData(new[] { -1 }, "The prompt holds the token -1")]
    public void A_prompt_that_cannot_be_continued_is_refused(int[] prompt, string reason)
    {
        using var model = RandomModels.Create(TinyModels.Config(maxPositions: 8));
        var error = Assert.Throws<ArgumentException>(() => new TextGenerator(model).Generate(prompt, 4, Greedy));
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_it_cannot_report_is_refused_and_a_reward_model_too()
    {
        using var model = RandomModels.Create(TinyModels.Config());
        Assert.Throws<ArgumentException>(() => new TextGenerator(model).Generate([1], 4, Greedy with { TopLogProbs = 2 }));
        using var reward = RandomModels.Create(TinyModels.RewardModel());
        Assert.Throws<ArgumentException>(() => new TextGenerator(reward));
    }

    [Fact]
    public void Cancelling_stops_before_the_next_token()
    {
        using var model = RandomModels.Create(TinyModels.Config());
        Assert.Throws<OperationCanceledException>(() => new TextGenerator(model).Generate([1], 4, Greedy, cancellation: new CancellationToken(canceled: true)));
    }

    [Fact]
    public void Generating_leaves_no_tensor_behind()
    {
        using var model = RandomModels.Create(TinyModels.Config());
        var generator = new TextGenerator(model);
        generator.GenerateBatch([[1, 2], [3]], 5, Greedy);
        // Counted on this thread only: other tests run beside this one.
        var statistics = DisposeScopeManager.Statistics.TensorStatistics;
        long before = statistics.ThreadTotalLiveCount;
        for (int i = 0; i < 20; i++)
        {
            generator.GenerateBatch([[1, 2], [3]], 20, Greedy);
        }
        Assert.Equal(before, statistics.ThreadTotalLiveCount);
    }
}
