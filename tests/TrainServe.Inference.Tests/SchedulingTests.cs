using TrainServe.Core;
using TrainServe.TestSupport;

namespace TrainServe.Inference.Tests;

/// <summary>Who comes first, who gives way, and whose time is over.</summary>
public sealed class SchedulingTests
{
    private const int VocabSize = 32, ContextLength = 64;
    private static readonly ModelConfig Config = TinyModels.Config(vocabSize: VocabSize, maxPositions: ContextLength);

    [Fact]
    public async Task A_waiting_request_of_higher_priority_comes_first()
    {
        await using var engine = Engine(out var runner, slots: 1);
        using var gate = new StepGate(runner);
        var running = engine.IdsAsync(Requests.Greedy([1], 3) with { Priority = 9 });
        await Eventually.AssertAsync(() => engine.Status.Running == 1);
        // Prompts of different lengths tell who is computed when.
        var waiting = new List<Task>();
        foreach (var (priority, length) in new[] { (0, 2), (2, 3), (1, 4), (2, 5) })
        {
            waiting.Add(engine.IdsAsync(Requests.Greedy(HashRunner.Continue(VocabSize, [length], length), 2) with { Priority = priority }));
            await Eventually.AssertAsync(() => engine.Status.Waiting == waiting.Count);
        }
        gate.Open();
        await Task.WhenAll([running, .. waiting]);

        // Equal priorities in the order of arrival.
        Assert.Equal([1, 3, 5, 4, 2], runner.Log.Where(tokens => tokens > 0));
    }

    [Theory]
    [InlineData(0)] // its cache is gone when it goes on, and all is computed again
    [InlineData(2)] // its cache was kept
    public async Task A_running_request_gives_its_slot_to_one_of_higher_priority_and_goes_on_with_the_same_tokens(int spare)
    {
        await using var engine = Engine(out var runner, slots: 2, spare: spare);
        using var gate = new StepGate(runner);
        var first = engine.IdsAsync(Requests.Greedy([1, 2, 3], 40) with { Priority = 1 });
        gate.Pass(steps: 3);
        gate.NextRows();
        var second = engine.IdsAsync(Requests.Greedy([4, 5, 6], 40));
        await Eventually.AssertAsync(() => engine.Status.Waiting == 1);
        gate.Pass(steps: 20);
        gate.NextRows();
        var urgent = engine.IdsAsync(Requests.Greedy([7, 8], 10) with { Priority = 2 });
        await Eventually.AssertAsync(() => engine.Status.Waiting == 1);
        gate.Open();

        Assert.Equal(HashRunner.Continue(VocabSize, [7, 8], 10), await urgent);
        Assert.Equal(HashRunner.Continue(VocabSize, [1, 2, 3], 40), await first);
        Assert.Equal(HashRunner.Continue(VocabSize, [4, 5, 6], 40), await second);
        Assert.Equal(1, engine.Status.Preemptions);
        await Eventually.AssertAsync(() => engine.Status is { Running: 0, Waiting: 0, WaitingPromptTokens: 0 });
    }

    [Fact]
    public async Task A_long_prompt_in_computation_gives_way_too()
    {
        await using var engine = Engine(out var runner, slots: 1, chunk: 4);
        using var gate = new StepGate(runner);
        int[] prompt = HashRunner.Continue(VocabSize, [3], 40);
        var slow = engine.IdsAsync(Requests.Greedy(prompt, 3));
        gate.Pass(steps: 2);
        gate.NextRows();
        var urgent = engine.IdsAsync(Requests.Greedy([7, 8], 3) with { Priority = 1 });
        await Eventually.AssertAsync(() => engine.Status.Waiting == 1);
        gate.Open();

        Assert.Equal(HashRunner.Continue(VocabSize, [7, 8], 3), await urgent);
        Assert.Equal(HashRunner.Continue(VocabSize, prompt, 3), await slow);
        // The three chunks that were computed before are not computed again.
        Assert.Equal(40 + 2, engine.Status.PromptTokensComputed);
    }

    [Fact]
    public async Task Equal_priorities_never_take_each_others_slots()
    {
        await using var engine = Engine(out _, slots: 1);
        await Task.WhenAll(Enumerable.Range(0, 6).Select(i => engine.IdsAsync(Requests.Greedy([i], 10) with { Priority = 3 })));

        Assert.Equal(0, engine.Status.Preemptions);
    }

    [Fact]
    public async Task A_time_limit_ends_a_request_whether_it_runs_or_waits()
    {
        var time = new ManualTime();
        await using var engine = Engine(out var runner, slots: 1, time: time);
        using var gate = new StepGate(runner);
        var running = engine.CollectAsync(Requests.Greedy([1], 30) with { TimeLimit = TimeSpan.FromSeconds(5) });
        gate.Pass(steps: 3);
        gate.NextRows();
        var waiting = engine.CollectAsync(Requests.Greedy([2], 30) with { TimeLimit = TimeSpan.FromSeconds(4) });
        var patient = engine.IdsAsync(Requests.Greedy([3], 30) with { TimeLimit = TimeSpan.FromSeconds(60) });
        await Eventually.AssertAsync(() => engine.Status.Waiting == 2);
        int steps = runner.Steps;

        time.Advance(TimeSpan.FromSeconds(5));
        gate.Open();

        Assert.Equal(TimeSpan.FromSeconds(5), (await Assert.ThrowsAsync<DeadlineExceededException>(() => running)).Limit);
        Assert.Equal(TimeSpan.FromSeconds(4), (await Assert.ThrowsAsync<DeadlineExceededException>(() => waiting)).Limit);
        Assert.Equal(HashRunner.Continue(VocabSize, [3], 30), await patient);
        // The step that stood before its beginning, and then the patient one's alone.
        Assert.Equal(steps + 30, runner.Steps);
        await Assert.ThrowsAsync<ArgumentException>(() => engine.CollectAsync(Requests.Greedy([1], 1) with { TimeLimit = TimeSpan.Zero }));
    }

    private static GenerationEngine Engine(out HashRunner runner, int slots, int spare = 2, int chunk = 16, TimeProvider? time = null)
    {
        runner = new HashRunner(VocabSize, slots + spare, ContextLength);
        return new GenerationEngine(runner, Config, new EngineOptions { Slots = slots, ContextLength = ContextLength, PrefillChunk = chunk }.ValidatedFor(Config), time ?? TimeProvider.System);
    }
}
