using CsCheck;
using TrainServe.Core;
using TrainServe.Core.Sampling;
using TrainServe.TestSupport;

namespace TrainServe.Inference.Tests;

/// <summary>Requests that come, go and are cancelled at random must each get what they would get alone.</summary>
public sealed class ManyRequestsTests
{
    private const int ContextLength = 48;

    /// <param name="Prompt">Token ids.</param>
    /// <param name="MaxNewTokens">How many are asked for.</param>
    /// <param name="LeaveAfter">How many the consumer reads before it cancels; more than it gets means never.</param>
    /// <param name="DelayMilliseconds">How long after the others it comes.</param>
    /// <param name="Sampling">Greedy, or seeded.</param>
    private sealed record Plan(int[] Prompt, int MaxNewTokens, int LeaveAfter, int DelayMilliseconds, SamplingParameters Sampling);

    [Fact]
    public void Twenty_random_requests_at_once_equal_one_by_one_on_a_strict_runner()
    {
        var config = TinyModels.Config(vocabSize: 24, maxPositions: ContextLength);
        Gen.Select(Plans(config.VocabSize), Gen.Int[1, 6], Gen.Int[2, 20]).Sample((plans, slots, chunk) =>
        {
            RunAsync(plans, () => new GenerationEngine(new HashRunner(config.VocabSize, slots, ContextLength), config, Options(config, slots, chunk), TimeProvider.System)).GetAwaiter().GetResult();
        }, iter: 60, threads: 1);
    }

    [Fact]
    public void Twenty_random_requests_at_once_equal_one_by_one_on_an_exported_model()
    {
        using var model = new ExportedModel(TinyModels.Config(vocabSize: 24, maxPositions: ContextLength));
        Gen.Select(Plans(model.Config.VocabSize), Gen.Int[1, 6], Gen.Int[2, 20]).Sample((plans, slots, chunk) =>
        {
            RunAsync(plans, () => new GenerationEngine(model.OpenRunner(slots), model.Config, Options(model.Config, slots, chunk), TimeProvider.System)).GetAwaiter().GetResult();
        }, iter: 8, threads: 1);
    }

    [Fact]
    public async Task A_request_whose_logits_are_no_numbers_harms_no_other_and_leaves_its_slot_usable()
    {
        using var model = new ExportedModel(TinyModels.Config(vocabSize: 24, maxPositions: ContextLength), spoil: weights => weights.AsSpan(23 * 16, 16).Fill(float.NaN));
        await using var engine = new GenerationEngine(model.OpenRunner(slots: 3), model.Config, Options(model.Config, slots: 3, chunk: 8), TimeProvider.System);
        int[] alone = await engine.IdsAsync(Requests.Greedy([1, 2, 3], 30));

        for (int round = 0; round < 4; round++)
        {
            Task<int[]>[] sound = [engine.IdsAsync(Requests.Greedy([1, 2, 3], 30)), engine.IdsAsync(Requests.Greedy([1, 2, 3], 30))];
            int[] poison = [.. Enumerable.Repeat(4, 20), 23, 5];
            await Assert.ThrowsAsync<NonFiniteLogitsException>(() => engine.IdsAsync(Requests.Greedy(poison, 20)));
            Assert.All(await Task.WhenAll(sound), ids => Assert.Equal(alone, ids));
        }
        Assert.True(engine.Status.IsHealthy);
    }

    private static Gen<Plan[]> Plans(int vocabSize)
    {
        var sampling = Gen.OneOf(
            Gen.Const(SamplingParameters.Greedy),
            Gen.Select(Gen.ULong, Gen.Float[0.1f, 2], Gen.Int[0, 10], Gen.Float[0.1f, 1]).Select((seed, temperature, topK, topP) =>
                new SamplingParameters { Seed = seed, Temperature = temperature, TopK = topK, TopP = topP, RepetitionPenalty = 1.2f, PresencePenalty = 0.3f, LogitBias = new Dictionary<int, float> { [3] = 1 } }));
        return Gen.Select(Gen.Int[0, vocabSize - 2].Array[1, 30], Gen.Int[1, 25], Gen.Frequency((3, Gen.Const(int.MaxValue)), (1, Gen.Int[0, 10])), Gen.Int[0, 6], sampling)
            .Select((prompt, most, leave, delay, how) => new Plan(prompt, most, leave, delay, how)).Array[20];
    }

    private static async Task RunAsync(Plan[] plans, Func<GenerationEngine> open)
    {
        int[][] together;
        await using (var engine = open())
        {
            together = await Task.WhenAll(plans.Select(plan => FollowAsync(engine, plan)));
            await engine.CollectAsync(Requests.Greedy([1], 1));
            Assert.Equal((0, 0, 0), (engine.Status.Running, engine.Status.Waiting, engine.Status.WaitingPromptTokens));
        }
        await using var single = open();
        for (int i = 0; i < plans.Length; i++)
        {
            int[] alone = await single.IdsAsync(Request(plans[i]));
            Assert.Equal(alone.Take(plans[i].LeaveAfter), together[i]);
        }
    }

    private static async Task<int[]> FollowAsync(GenerationEngine engine, Plan plan)
    {
        await Task.Delay(plan.DelayMilliseconds);
        using var cancellation = new CancellationTokenSource();
        var ids = new List<int>();
        if (plan.LeaveAfter == 0)
        {
            cancellation.CancelAfter(1);
        }
        try
        {
            await foreach (var token in engine.GenerateAsync(Request(plan), cancellation.Token))
            {
                if (ids.Count == plan.LeaveAfter)
                {
                    break;
                }
                ids.Add(token.Id);
                if (ids.Count == plan.LeaveAfter)
                {
                    await cancellation.CancelAsync();
                }
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // Leaving is what the plan says.
        }
        return [.. ids];
    }

    private static GenerationRequest Request(Plan plan) => new() { Id = "plan", PromptIds = plan.Prompt, MaxNewTokens = plan.MaxNewTokens, Sampling = plan.Sampling };

    private static EngineOptions Options(ModelConfig config, int slots, int chunk) =>
        new EngineOptions { Slots = slots, ContextLength = ContextLength, PrefillChunk = chunk, Threads = 1 }.ValidatedFor(config);
}
