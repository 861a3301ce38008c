using TrainServe.Core;
using TrainServe.Core.Sampling;
using TrainServe.TestSupport;

namespace TrainServe.Inference.Tests;

public sealed class GenerationEngineTests
{
    private const int VocabSize = 32, ContextLength = 64;
    private static readonly ModelConfig Config = TinyModels.Config(vocabSize: VocabSize, maxPositions: ContextLength);
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);

    [Fact]
    public async Task A_request_gets_its_tokens_and_the_last_says_that_the_most_were_reached()
    {
        await using var engine = Engine(out _);

        var tokens = await engine.CollectAsync(Requests.Greedy([1, 2, 3], 10));

        Assert.Equal(HashRunner.Continue(VocabSize, [1, 2, 3], 10), tokens.Select(token => token.Id));
        Assert.All(tokens.SkipLast(1), token => Assert.Null(token.Finish));
        Assert.Equal(FinishReason.Length, tokens[^1].Finish);
    }

    [Fact]
    public async Task A_stop_token_ends_a_request_and_is_its_last_item()
    {
        await using var engine = Engine(out _);
        int[] free = HashRunner.Continue(VocabSize, [5, 6], 20);
        int stop = free[7];
        int first = Array.IndexOf(free, stop);

        var tokens = await engine.CollectAsync(Requests.Greedy([5, 6], 20, stop));

        Assert.Equal(free[..(first + 1)], tokens.Select(token => token.Id));
        Assert.Equal(FinishReason.Stop, tokens[^1].Finish);
    }

    [Fact]
    public async Task The_models_own_end_of_text_ends_a_request_unless_it_is_to_be_ignored()
    {
        int[] free = HashRunner.Continue(VocabSize, [5, 6], 20);
        await using var engine = Engine(out _, config: Config with { EosTokenId = [free[4]] });

        Assert.Equal(FinishReason.Stop, (await engine.CollectAsync(Requests.Greedy([5, 6], 20)))[^1].Finish);
        Assert.Equal(free, await engine.IdsAsync(Requests.Greedy([5, 6], 20) with { IgnoreEos = true }));
    }

    [Fact]
    public async Task The_context_ends_an_answer_that_would_not_fit()
    {
        await using var engine = Engine(out _);
        int[] prompt = [.. Enumerable.Range(0, ContextLength - 3).Select(i => i % VocabSize)];

        var tokens = await engine.CollectAsync(Requests.Greedy(prompt, 100));

        Assert.Equal(3, tokens.Count);
        Assert.Equal(FinishReason.Length, tokens[^1].Finish);
    }

    [Fact]
    public async Task A_prompt_as_long_as_the_context_is_refused_and_not_cut()
    {
        await using var engine = Engine(out var runner);

        var error = await Assert.ThrowsAsync<PromptTooLongException>(() => engine.CollectAsync(Requests.Greedy(new int[ContextLength], 1)));

        Assert.Equal((ContextLength, ContextLength), (error.PromptTokens, error.ContextLength));
        Assert.Equal(0, runner.Steps);
    }

    [Fact]
    public async Task A_request_that_breaks_a_rule_is_refused_and_named()
    {
        await using var engine = Engine(out _);

        foreach (var (request, word) in new[]
        {
            (Requests.Greedy([], 1), "no tokens"),
            (Requests.Greedy([VocabSize], 1), $"token {VocabSize}"),
            (Requests.Greedy([-1], 1), "token -1"),
            (Requests.Greedy([1], 0), "MaxNewTokens is 0"),
            (Requests.Greedy([1], 1) with { Sampling = new SamplingParameters { TopP = float.NaN } }, "TopP"),
            (Requests.Greedy([1], 1) with { Sampling = new SamplingParameters { Temperature = -1 } }, "Temperature"),
        })
        {
            var error = await Assert.ThrowsAsync<ArgumentException>(() => engine.CollectAsync(request));
            Assert.Contains(word, error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_long_prompt_is_computed_in_chunks_and_others_decode_between_them()
    {
        await using var engine = Engine(out var runner, chunk: 8);
        using var gate = new StepGate(runner);
        var first = engine.CollectAsync(Requests.Greedy([1, 2], 30));
        gate.Pass(steps: 4);
        int[] prompt = [.. Enumerable.Range(0, 33).Select(i => i % VocabSize)];
        var second = engine.CollectAsync(Requests.Greedy(prompt, 2));
        await Eventually(() => engine.Status.Waiting == 1);
        gate.Open();

        Assert.Equal(HashRunner.Continue(VocabSize, prompt, 2), (await second).Select(token => token.Id));
        await first;

        // 33 tokens: never a chunk of one at the end.
        Assert.Equal([8, 0, 8, 0, 8, 0, 9], runner.Log.SkipWhile(tokens => tokens != 8).Take(7));
    }

    [Fact]
    public async Task Short_prompts_share_a_chunk()
    {
        await using var engine = Engine(out var runner, slots: 4, chunk: 16);
        using var gate = new StepGate(runner);
        var first = engine.IdsAsync(Requests.Greedy([1], 10));
        gate.Pass(steps: 2);
        gate.NextRows();
        Task<int[]>[] others = [.. Enumerable.Range(2, 3).Select(i => engine.IdsAsync(Requests.Greedy([.. Enumerable.Repeat(i, 6)], 3)))];
        await Eventually(() => engine.Status is { Running: 1, Waiting: 3 });
        gate.Open();
        await Task.WhenAll([first, .. others]);

        // Two of six fit into a chunk of 16; the third waits for the next turn.
        Assert.Equal([6, 6, 0, 6, 0], runner.Log.SkipWhile(tokens => tokens != 6).Take(5));
    }

    [Fact]
    public async Task A_cancelled_request_frees_its_slot_before_the_next_step()
    {
        await using var engine = Engine(out var runner, slots: 2);
        using var gate = new StepGate(runner);
        using var cancelled = new CancellationTokenSource();
        var leaver = engine.CollectAsync(Requests.Greedy([1], 40), cancelled.Token);
        var stayer = engine.CollectAsync(Requests.Greedy([2], 40));
        gate.Pass(steps: 6);
        Assert.Equal(2, gate.NextRows());

        // The engine stands before a step with both; the leave is seen after it, before the one that follows.
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => leaver);
        gate.Pass(steps: 1);

        Assert.Equal(1, gate.NextRows());
        Assert.Equal(1, engine.Status.Running);
        gate.Open();
        Assert.Equal(HashRunner.Continue(VocabSize, [2], 40), (await stayer).Select(token => token.Id));
    }

    [Fact]
    public async Task A_consumer_that_leaves_early_frees_its_slot()
    {
        await using var engine = Engine(out _, slots: 1);
        await foreach (var _ in engine.GenerateAsync(Requests.Greedy([1], 60)))
        {
            break;
        }

        await Eventually(() => engine.Status.Running == 0);
        Assert.Equal(HashRunner.Continue(VocabSize, [2], 3), await engine.IdsAsync(Requests.Greedy([2], 3)));
    }

    [Fact]
    public async Task A_request_can_be_cancelled_while_it_waits_and_while_its_prompt_is_computed()
    {
        await using var engine = Engine(out var runner, slots: 1, chunk: 4);
        using var gate = new StepGate(runner);
        using CancellationTokenSource inPrefill = new(), inQueue = new();
        var computed = engine.CollectAsync(Requests.Greedy([.. Enumerable.Repeat(1, 40)], 5), inPrefill.Token);
        gate.Pass(steps: 2);
        gate.NextRows();
        var queued = engine.CollectAsync(Requests.Greedy([2], 5), inQueue.Token);
        var last = engine.CollectAsync(Requests.Greedy([3], 5));
        await Eventually(() => engine.Status.Waiting == 2);
        int steps = runner.Steps;

        await inPrefill.CancelAsync();
        await inQueue.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => computed);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => queued);
        gate.Open();

        Assert.Equal(HashRunner.Continue(VocabSize, [3], 5), (await last).Select(token => token.Id));
        Assert.Equal(steps + 5, runner.Steps);
        await Eventually(() => engine.Status is { Running: 0, Waiting: 0, WaitingPromptTokens: 0 });
    }

    [Fact]
    public async Task A_full_queue_refuses_and_admits_again_when_there_is_room()
    {
        await using var engine = Engine(out var runner, slots: 1, maxQueued: 2);
        using var gate = new StepGate(runner);
        var admitted = new List<Task<List<GeneratedToken>>>();
        for (int i = 0; i < 3; i++)
        {
            admitted.Add(engine.CollectAsync(Requests.Greedy([i], 2)));
        }

        var error = await Assert.ThrowsAsync<QueueFullException>(() => engine.CollectAsync(Requests.Greedy([9], 2)));
        Assert.InRange(error.Waiting, 2, 3);
        gate.Open();
        await Task.WhenAll(admitted);
        Assert.Equal(HashRunner.Continue(VocabSize, [9], 2), await engine.IdsAsync(Requests.Greedy([9], 2)));
    }

    [Fact]
    public async Task Waiting_prompt_tokens_are_bounded_too()
    {
        await using var engine = Engine(out var runner, slots: 1, maxQueuedTokens: 20);
        using var gate = new StepGate(runner);
        var running = engine.CollectAsync(Requests.Greedy([1], 2));
        await Eventually(() => engine.Status.Running == 1);
        var waiting = engine.CollectAsync(Requests.Greedy(new int[30], 2));

        await Assert.ThrowsAsync<QueueFullException>(() => engine.CollectAsync(Requests.Greedy([9], 2)));

        gate.Open();
        await Task.WhenAll(running, waiting);
    }

    [Fact]
    public async Task A_consumer_that_stops_reading_stops_nobody()
    {
        await using var engine = Engine(out _, slots: 2);
        await using var sleeper = engine.GenerateAsync(Requests.Greedy([1], 50)).GetAsyncEnumerator();
        await sleeper.MoveNextAsync();

        Assert.Equal(HashRunner.Continue(VocabSize, [2], 30), await engine.IdsAsync(Requests.Greedy([2], 30)));

        // Its own tokens wait for it.
        await Eventually(() => engine.Status.Running == 0);
        var ids = new List<int> { sleeper.Current.Id };
        while (await sleeper.MoveNextAsync())
        {
            ids.Add(sleeper.Current.Id);
        }
        Assert.Equal(HashRunner.Continue(VocabSize, [1], 50), ids);
    }

    [Fact]
    public async Task Logits_that_are_no_numbers_end_that_request_alone()
    {
        await using var engine = Engine(out var runner);
        runner.Spoil = (ids, logits) =>
        {
            if (ids[0] == 7 && ids.Count > 3)
            {
                logits[5] = float.NaN;
            }
        };
        var spoilt = engine.CollectAsync(Requests.Greedy([7], 20));
        var sound = engine.CollectAsync(Requests.Greedy([8], 20));

        await Assert.ThrowsAsync<NonFiniteLogitsException>(() => spoilt);
        Assert.Equal(HashRunner.Continue(VocabSize, [8], 20), (await sound).Select(token => token.Id));
        Assert.True(engine.Status.IsHealthy);
        await Eventually(() => engine.Status.Running == 0);
    }

    [Fact]
    public async Task A_fault_of_the_runner_fails_every_request_and_shows_in_the_status()
    {
        await using var engine = Engine(out var runner, slots: 1);
        using var gate = new StepGate(runner);
        Task<List<GeneratedToken>>[] requests = [.. Enumerable.Range(1, 3).Select(i => engine.CollectAsync(Requests.Greedy([i], 20)))];
        await Eventually(() => engine.Status is { Running: 1, Waiting: 2 });
        gate.Fail(new InvalidOperationException("The device is gone."));

        foreach (var request in requests)
        {
            var error = await Assert.ThrowsAsync<EngineFaultException>(() => request);
            Assert.Contains("The device is gone.", error.Message, StringComparison.Ordinal);
        }
        Assert.False(engine.Status.IsHealthy);
        Assert.Equal((0, 0), (engine.Status.Running, engine.Status.Waiting));
        await Assert.ThrowsAsync<EngineFaultException>(() => engine.CollectAsync(Requests.Greedy([1], 1)));
        await Eventually(() => runner.IsDisposed);
    }

    [Fact]
    public async Task Disposing_ends_what_runs_and_releases_the_runner()
    {
        var engine = Engine(out var runner, slots: 1);
        using var gate = new StepGate(runner);
        Task<List<GeneratedToken>>[] requests = [engine.CollectAsync(Requests.Greedy([1], 60)), engine.CollectAsync(Requests.Greedy([2], 60))];
        await Eventually(() => engine.Status is { Running: 1, Waiting: 1 });

        var disposal = engine.DisposeAsync();
        gate.Open();
        await disposal;

        Assert.True(runner.IsDisposed);
        foreach (var request in requests)
        {
            await Assert.ThrowsAsync<EngineFaultException>(() => request);
        }
        await Assert.ThrowsAsync<EngineFaultException>(() => engine.CollectAsync(Requests.Greedy([1], 1)));
        await engine.DisposeAsync();
    }

    [Fact]
    public async Task A_step_that_hangs_is_reported_as_a_stall_and_idleness_is_not()
    {
        var time = new ManualTime();
        await using var engine = Engine(out var runner, time: time);
        time.Advance(TimeSpan.FromMinutes(10));
        Assert.False(engine.Status.IsStalled(TimeSpan.FromSeconds(60)));

        using var gate = new StepGate(runner);
        var request = engine.CollectAsync(Requests.Greedy([1], 3));
        gate.NextRows();
        Assert.False(engine.Status.IsStalled(TimeSpan.FromSeconds(60)));
        time.Advance(TimeSpan.FromSeconds(61));
        Assert.True(engine.Status.IsStalled(TimeSpan.FromSeconds(60)));

        gate.Open();
        await request;
        Assert.Equal(time.GetUtcNow(), engine.Status.LastToken);
        Assert.Equal((3L, 1L), (engine.Status.TokensGenerated, engine.Status.PromptTokensComputed));
    }

    [Fact]
    public async Task Alternatives_are_reported_best_first_when_they_are_asked_for()
    {
        await using var engine = Engine(out _);

        var tokens = await engine.CollectAsync(Requests.Greedy([4], 3) with { Sampling = SamplingParameters.Greedy with { TopLogProbs = 4 } });

        Assert.All(tokens, token =>
        {
            Assert.Equal(4, token.Top.Count);
            Assert.Equal(token.Id, token.Top[0].Id);
            Assert.Equal(token.LogProb, token.Top[0].LogProb, 5);
            Assert.Equal(token.Top.OrderByDescending(top => top.LogProb), token.Top);
        });
    }

    [Fact]
    public async Task A_constraint_is_asked_before_each_token_and_told_of_each_but_the_last()
    {
        await using var engine = Engine(out _);
        var constraint = new Alternating(stopId: 9);

        var tokens = await engine.CollectAsync(Requests.Greedy([4], 30, 9) with { Sampling = new() { Seed = 3 }, Constraint = constraint });

        Assert.Equal([2, 5, 2, 5, 9], tokens.Select(token => token.Id));
        Assert.Equal([2, 5, 2, 5], constraint.Accepted);
        // Log-probabilities are the model's own.
        Assert.All(tokens, token => Assert.True(token.LogProb < -0.01f));
    }

    [Fact]
    public async Task A_constraint_that_throws_or_leaves_nothing_ends_its_request_alone()
    {
        await using var engine = Engine(out _);
        var other = engine.IdsAsync(Requests.Greedy([8], 40));

        await Assert.ThrowsAsync<NonFiniteLogitsException>(() => engine.CollectAsync(Requests.Greedy([4], 30) with { Constraint = new Mask(logits => logits.Fill(float.NegativeInfinity)) }));
        await Assert.ThrowsAsync<InvalidOperationException>(() => engine.CollectAsync(Requests.Greedy([4], 30) with { Constraint = new Mask(_ => throw new InvalidOperationException("Broken.")) }));

        Assert.Equal(HashRunner.Continue(VocabSize, [8], 40), await other);
        await Eventually(() => engine.Status is { Running: 0, IsHealthy: true });
    }

    private delegate void Masking(Span<float> logits);

    private sealed class Mask(Masking masking) : ILogitsConstraint
    {
        void ILogitsConstraint.Mask(Span<float> logits) => masking(logits);
        public void Accept(int id) => Assert.InRange(id, 0, VocabSize - 1);
    }

    /// <summary>2, 5, 2, 5 and then the end.</summary>
    private sealed class Alternating(int stopId) : ILogitsConstraint
    {
        public List<int> Accepted { get; } = [];

        public void Mask(Span<float> logits)
        {
            int next = Accepted.Count == 4 ? stopId : Accepted.Count % 2 == 0 ? 2 : 5;
            float kept = logits[next];
            logits.Fill(float.NegativeInfinity);
            logits[next] = kept;
        }

        public void Accept(int id) => Accepted.Add(id);
    }

    private static GenerationEngine Engine(out HashRunner runner, int slots = 4, int chunk = 16, int maxQueued = 64, int maxQueuedTokens = 1 << 20, ModelConfig? config = null, TimeProvider? time = null)
    {
        runner = new HashRunner(VocabSize, slots, ContextLength);
        var options = new EngineOptions { Slots = slots, ContextLength = ContextLength, PrefillChunk = chunk, MaxQueuedRequests = maxQueued, MaxQueuedPromptTokens = maxQueuedTokens };
        return new GenerationEngine(runner, config ?? Config, options.ValidatedFor(Config), time ?? TimeProvider.System);
    }

    private static async Task Eventually(Func<bool> condition)
    {
        var end = DateTime.UtcNow + Soon;
        while (!condition())
        {
            Assert.True(DateTime.UtcNow < end, "The state that the test waits for did not come.");
            await Task.Delay(2);
        }
    }
}
