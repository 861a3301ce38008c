using TrainServe.Core;
using TrainServe.TestSupport;

namespace TrainServe.Inference.Tests;

/// <summary>What was computed once is copied, for those who may know of it, and never changes an answer.</summary>
public sealed class PrefixCacheTests
{
    private const int VocabSize = 32, ContextLength = 64;
    private static readonly ModelConfig Config = TinyModels.Config(vocabSize: VocabSize, maxPositions: ContextLength);

    [Fact]
    public async Task A_next_turn_computes_only_what_is_new()
    {
        await using var engine = Engine(out _, slots: 1);
        int[] prompt = [.. Text(20)];
        int[] answer = await engine.IdsAsync(Requests.Greedy(prompt, 10));

        int[] next = [.. prompt, .. answer, 1, 2, 3, 4, 5];
        var tokens = await engine.CollectAsync(Requests.Greedy(next, 5));

        // The answer's last token was chosen but never computed.
        Assert.All(tokens, token => Assert.Equal(29, token.CachedPromptTokens));
        Assert.Equal((20L + 6, 29L), (engine.Status.PromptTokensComputed, engine.Status.PromptTokensCopied));
        Assert.Equal(HashRunner.Continue(VocabSize, next, 5), tokens.Select(token => token.Id));
    }

    [Fact]
    public async Task A_prompt_that_is_wholly_known_computes_two_tokens()
    {
        await using var engine = Engine(out var runner);
        int[] prompt = [.. Text(20)];
        await engine.IdsAsync(Requests.Greedy(prompt, 1));

        Assert.Equal(HashRunner.Continue(VocabSize, prompt, 3), await engine.IdsAsync(Requests.Greedy(prompt, 3)));

        Assert.Equal([20, 2], runner.Log.Where(tokens => tokens > 0));
    }

    [Fact]
    public async Task Choices_of_one_prompt_share_its_computation_while_they_run()
    {
        await using var engine = Engine(out var runner, slots: 4, spare: 0, chunk: 16);
        using var gate = new StepGate(runner);
        int[] prompt = [.. Text(40)];
        Task<List<GeneratedToken>>[] choices = [.. Enumerable.Range(0, 4).Select(i => engine.CollectAsync(Requests.Greedy(prompt, 5) with { Sampling = new() { Seed = (ulong)i } }))];
        await Eventually.AssertAsync(() => engine.Status is { Running: 1, Waiting: 3 });
        gate.Open();
        var all = await Task.WhenAll(choices);

        Assert.Equal([0, 38, 38, 38], all.Select(choice => choice[0].CachedPromptTokens).Order());
        Assert.Equal(40 + 3 * 2, engine.Status.PromptTokensComputed);
    }

    [Fact]
    public async Task Beginnings_are_shared_among_callers_of_one_salt_only()
    {
        await using var engine = Engine(out _);
        var request = Requests.Greedy([.. Text(20)], 2);

        await engine.IdsAsync(request with { CacheSalt = "one" });
        Assert.Equal(0, (await engine.CollectAsync(request with { CacheSalt = "other" }))[0].CachedPromptTokens);
        Assert.Equal(0, (await engine.CollectAsync(request))[0].CachedPromptTokens);
        Assert.Equal(18, (await engine.CollectAsync(request with { CacheSalt = "one" }))[0].CachedPromptTokens);
    }

    [Fact]
    public async Task What_was_used_least_recently_goes_first()
    {
        await using var engine = Engine(out _, slots: 1, spare: 3);
        int[][] prompts = [.. Enumerable.Range(0, 4).Select(i => Text(20, i))];
        foreach (int i in new[] { 0, 1, 2, 0, 3 })
        {
            await engine.IdsAsync(Requests.Greedy(prompts[i], 2));
        }

        // Three entries have a place beside the one that runs, and 1 is the oldest.
        Assert.Equal(18, (await engine.CollectAsync(Requests.Greedy(prompts[0], 2)))[0].CachedPromptTokens);
        Assert.Equal(18, (await engine.CollectAsync(Requests.Greedy(prompts[2], 2)))[0].CachedPromptTokens);
        Assert.Equal(18, (await engine.CollectAsync(Requests.Greedy(prompts[3], 2)))[0].CachedPromptTokens);
        Assert.Equal(0, (await engine.CollectAsync(Requests.Greedy(prompts[1], 2)))[0].CachedPromptTokens);
    }

    [Fact]
    public async Task A_cancelled_request_leaves_what_it_computed_and_a_spoilt_one_does_not()
    {
        await using var engine = Engine(out var runner);
        int[] prompt = [.. Text(20)];
        await foreach (var _ in engine.GenerateAsync(Requests.Greedy(prompt, 30)))
        {
            break;
        }
        Assert.Equal(18, (await engine.CollectAsync(Requests.Greedy(prompt, 2)))[0].CachedPromptTokens);

        int[] other = [.. Text(20, seed: 5)];
        runner.Spoil = (ids, logits) => logits[0] = float.NaN;
        await Assert.ThrowsAsync<Core.Sampling.NonFiniteLogitsException>(() => engine.IdsAsync(Requests.Greedy(other, 2)));
        runner.Spoil = (_, _) => { };
        Assert.Equal(0, (await engine.CollectAsync(Requests.Greedy(other, 2)))[0].CachedPromptTokens);
    }

    [Fact]
    public async Task Another_engine_knows_nothing_of_it()
    {
        int[] prompt = [.. Text(20)];
        await using (var engine = Engine(out _))
        {
            await engine.IdsAsync(Requests.Greedy(prompt, 2));
        }
        await using var next = Engine(out _);

        Assert.Equal(0, (await next.CollectAsync(Requests.Greedy(prompt, 2)))[0].CachedPromptTokens);
    }

    private static int[] Text(int length, int seed = 0) => HashRunner.Continue(VocabSize, [seed], length);

    private static GenerationEngine Engine(out HashRunner runner, int slots = 2, int spare = 2, int chunk = 64)
    {
        runner = new HashRunner(VocabSize, slots + spare, ContextLength);
        return new GenerationEngine(runner, Config, new EngineOptions { Slots = slots, ContextLength = ContextLength, PrefillChunk = chunk }.ValidatedFor(Config), TimeProvider.System);
    }
}
