using TrainServe.TestSupport;

namespace TrainServe.Inference.Tests;

/// <summary>Texts that are read and not continued: what each token was worth, and what the model made of the whole.</summary>
public sealed class ReadingTests
{
    [Theory]
    [InlineData(2)]
    [InlineData(7)]
    [InlineData(64)]
    public async Task Log_likelihoods_are_those_of_the_double_precision_reference(int chunk)
    {
        using var model = new ExportedModel(TinyModels.Config());
        await using var engine = Engine(model, chunk);
        int[] ids = model.Text(40);

        var actual = await engine.ScoreAsync(ids);

        var logits = model.Reference.Logits(ids);
        Assert.Equal(39, actual.Count);
        for (int t = 0; t < actual.Count; t++)
        {
            double highest = logits[t].Max(), expected = logits[t][ids[t + 1]] - highest - Math.Log(logits[t].Sum(logit => Math.Exp(logit - highest)));
            Assert.Equal(expected, actual[t], 1e-4);
        }
    }

    [Fact]
    public async Task An_embedding_is_the_mean_hidden_state_however_the_text_is_cut()
    {
        using var model = new ExportedModel(TinyModels.Config());
        int[] ids = model.Text(40);
        float[] expected = new float[model.Config.HiddenSize];
        using (var runner = model.OpenRunner())
        {
            var hidden = runner.PrefillHidden(0, 0, ids);
            for (int i = 0; i < hidden.Length; i++)
            {
                expected[i % expected.Length] += hidden[i] / ids.Length;
            }
        }
        Assert.True(expected.Sum(value => value * value) > 0.01);
        foreach (int chunk in new[] { 2, 7, 64 })
        {
            await using var engine = Engine(model, chunk);
            float[] actual = await engine.EmbedAsync(ids);
            Assert.All(expected.Zip(actual), pair => Assert.Equal(pair.First, pair.Second, 1e-4));
        }
    }

    [Fact]
    public async Task The_score_of_a_reward_model_is_that_after_the_last_token_however_the_text_is_cut()
    {
        using var model = new ExportedModel(TinyModels.RewardModel());
        int[] ids = model.Text(40);
        float expected, earlier;
        using (var runner = model.OpenRunner())
        {
            expected = runner.Prefill(0, 0, ids, allLogits: false)[0];
            earlier = runner.Prefill(0, 0, ids.AsSpan(0, 39), allLogits: false)[0];
        }
        Assert.NotEqual(expected, earlier, 1e-3);
        foreach (int chunk in new[] { 2, 7, 64 })
        {
            await using var engine = Engine(model, chunk);
            Assert.Equal(expected, await engine.RewardAsync(ids), 1e-4);
        }
    }

    [Fact]
    public async Task Who_writes_has_no_score()
    {
        using var model = new ExportedModel(TinyModels.Config());
        await using var engine = Engine(model, chunk: 8);
        await Assert.ThrowsAsync<NotSupportedException>(() => engine.RewardAsync([1, 2]));
    }

    [Fact]
    public async Task Reading_and_writing_go_on_side_by_side()
    {
        using var model = new ExportedModel(TinyModels.Config());
        await using var engine = Engine(model, chunk: 8);
        int[] ids = model.Text(40);
        var alone = await engine.ScoreAsync(ids);
        int[] answer = await engine.IdsAsync(Requests.Greedy([1, 2], 30));

        var writing = Enumerable.Range(0, 3).Select(_ => engine.IdsAsync(Requests.Greedy([1, 2], 30))).ToList();
        var reading = Enumerable.Range(0, 3).Select(_ => engine.ScoreAsync(ids)).ToList();

        Assert.All(await Task.WhenAll(writing), ids => Assert.Equal(answer, ids));
        Assert.All(await Task.WhenAll(reading), scores => Assert.Equal(alone, scores));
    }

    [Fact]
    public async Task Texts_that_cannot_be_read_are_refused()
    {
        using var model = new ExportedModel(TinyModels.Config());
        await using var engine = Engine(model, chunk: 8);

        await Assert.ThrowsAsync<ArgumentException>(() => engine.ScoreAsync([1]));
        await Assert.ThrowsAsync<ArgumentException>(() => engine.EmbedAsync([]));
        await Assert.ThrowsAsync<ArgumentException>(() => engine.ScoreAsync([1, model.Config.VocabSize]));
        await Assert.ThrowsAsync<ArgumentException>(() => engine.ScoreAsync(new int[model.Config.MaxPositionEmbeddings + 1]));
        Assert.Equal(model.Config.MaxPositionEmbeddings - 1, (await engine.ScoreAsync(new int[model.Config.MaxPositionEmbeddings])).Count);
    }

    private static GenerationEngine Engine(ExportedModel model, int chunk) =>
        new(model.OpenRunner(slots: 4), model.Config, new EngineOptions { Slots = 3, ContextLength = model.Config.MaxPositionEmbeddings, PrefillChunk = chunk, Threads = 1 }.ValidatedFor(model.Config), TimeProvider.System);
}
