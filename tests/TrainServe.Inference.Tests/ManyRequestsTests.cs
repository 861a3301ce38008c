using CsCheck;
using TrainServe.Core;
using TrainServe.Core.Sampling;
using TrainServe.Export;
using TrainServe.Inference.Execution;
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
    /// <param name="Priority">Higher ones take the slots of lower ones.</param>
    /// <param name="Turns">How often it comes again with its answer and three more tokens in its prompt.</param>
    /// <param name="Sampling">Greedy, or seeded.</param>
    private sealed record Plan(int[] Prompt, int MaxNewTokens, int LeaveAfter, int DelayMilliseconds, int Priority, int Turns, SamplingParameters Sampling);

    [Fact]
    public void Twenty_random_requests_at_once_equal_one_by_one_on_a_strict_runner()
    {
        var config = TinyModels.Config(vocabSize: 24, maxPositions: ContextLength);
        Gen.Select(Plans(config.VocabSize), Gen.Int[1, 6], Gen.Int[2, 20], Gen.Int[0, 4]).Sample((plans, slots, chunk, spare) =>
        {
            RunAsync(plans, config, slots, chunk, () => new HashRunner(config.VocabSize, slots + spare, ContextLength)).GetAwaiter().GetResult();
        }, iter: 60, threads: 1);
    }

    /// <summary>Chunks, batches, copied beginnings, next turns and recomputed caches: with an eight-bit cache nothing of it changes a bit.</summary>
    [Theory]
    [InlineData("int8", 1)]
    [InlineData("int8", 2)]
    [InlineData("int4", 1)]
    [InlineData("int4", 2)]
    public void Twenty_random_requests_at_once_equal_one_by_one_on_an_exported_model(string precision, ulong seed)
    {
        using var model = new ExportedModel(TinyModels.Config(vocabSize: 24, hiddenSize: 32, maxPositions: ContextLength), seed, precision: ExportPrecision.Parse(precision));
        Gen.Select(Plans(model.Config.VocabSize), Gen.Int[1, 6], Gen.Int[2, 20], Gen.Int[0, 4]).Sample((plans, slots, chunk, spare) =>
        {
            RunAsync(plans, model.Config, slots, chunk, () => model.OpenRunner(slots + spare)).GetAwaiter().GetResult();
        }, iter: 6, threads: 1);
    }

    /// <summary>With a cache of single precision a row that was decoded differs from one of a prompt in its last bits, so that near ties may turn round, and nothing else.</summary>
    [Fact]
    public void In_single_precision_only_near_ties_turn_round()
    {
        const double Noise = 1e-4;
        using var model = new ExportedModel(TinyModels.Config(vocabSize: 24, maxPositions: ContextLength));
        int answers = 0, differences = 0;
        Gen.Select(Plans(model.Config.VocabSize), Gen.Int[1, 6], Gen.Int[2, 20]).Sample((plans, slots, chunk) =>
        {
            Plan[] greedy = [.. plans.Select(plan => plan with { LeaveAfter = int.MaxValue, Turns = 0, Sampling = SamplingParameters.Greedy })];
            foreach (var (plan, ids) in greedy.Zip(TogetherAsync(greedy, model.Config, slots, chunk, () => model.OpenRunner(slots + 2)).GetAwaiter().GetResult()))
            {
                int[] text = [.. plan.Prompt, .. ids];
                double[][] logits = model.Reference.Logits(text);
                for (int t = 0; t < ids.Length; t++)
                {
                    double[] row = logits[plan.Prompt.Length + t - 1];
                    answers++;
                    if (row[ids[t]] < row.Max())
                    {
                        differences++;
                        Assert.True(row.Max() - row[ids[t]] < 2 * Noise, $"Token {t} is no near tie: {row.Max() - row[ids[t]]}.");
                    }
                }
            }
        }, iter: 5, threads: 1);
        Assert.InRange(differences, 0, answers / 200);
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
        // Prompts begin alike, as with one system prompt or one conversation.
        var prompt = Gen.Select(Gen.Int[0, 20], Gen.Int[0, vocabSize - 2].Array[1, 12]).Select((shared, own) => (int[])[.. Enumerable.Range(0, shared).Select(i => i * i % 7), .. own]);
        var (leave, priority) = (Gen.Frequency((3, Gen.Const(int.MaxValue)), (1, Gen.Int[0, 10])), Gen.Frequency((4, Gen.Const(0)), (1, Gen.Int[1, 3])));
        return Gen.Select(Gen.Select(prompt, Gen.Int[1, 14], leave), Gen.Int[0, 6], priority, Gen.Int[0, 1], sampling)
            .Select((what, delay, first, turns, how) => new Plan(what.Item1, what.Item2, what.Item3, delay, first, turns, how)).Array[20];
    }

    private static async Task RunAsync(Plan[] plans, ModelConfig config, int slots, int chunk, Func<IModelRunner> open)
    {
        int[][] together = await TogetherAsync(plans, config, slots, chunk, open);
        // Alone, in one slot, and with nothing that was there before.
        for (int i = 0; i < plans.Length; i++)
        {
            int[] prompt = plans[i].Prompt;
            for (int turn = 0; turn <= plans[i].Turns; turn++)
            {
                await using var fresh = Engine(config, 1, chunk, open);
                int[] alone = await fresh.IdsAsync(Request(plans[i] with { Prompt = prompt }));
                if (turn == plans[i].Turns)
                {
                    Assert.Equal(alone.Take(plans[i].LeaveAfter), together[i]);
                }
                prompt = Next(prompt, alone);
            }
        }
    }

    private static async Task<int[][]> TogetherAsync(Plan[] plans, ModelConfig config, int slots, int chunk, Func<IModelRunner> open)
    {
        await using var engine = Engine(config, slots, chunk, open);
        int[][] together = await Task.WhenAll(plans.Select(plan => FollowAsync(engine, plan)));
        await engine.CollectAsync(Requests.Greedy([1], 1));
        Assert.Equal((0, 0, 0), (engine.Status.Running, engine.Status.Waiting, engine.Status.WaitingPromptTokens));
        return together;
    }

    private static async Task<int[]> FollowAsync(GenerationEngine engine, Plan plan)
    {
        await Task.Delay(plan.DelayMilliseconds);
        int[] prompt = plan.Prompt;
        for (int turn = 0; turn < plan.Turns; turn++)
        {
            prompt = Next(prompt, await engine.IdsAsync(Request(plan with { Prompt = prompt })));
        }
        using var cancellation = new CancellationTokenSource();
        var ids = new List<int>();
        if (plan.LeaveAfter == 0)
        {
            cancellation.CancelAfter(1);
        }
        try
        {
            await foreach (var token in engine.GenerateAsync(Request(plan with { Prompt = prompt }), cancellation.Token))
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

    // The conversation goes on, as long as the context has room for it.
    private static int[] Next(int[] prompt, int[] answer) => [.. ((int[])[.. prompt, .. answer, 1, 2, 3]).Take(ContextLength - 2)];

    private static GenerationRequest Request(Plan plan) => new() { Id = "plan", PromptIds = plan.Prompt, MaxNewTokens = plan.MaxNewTokens, Sampling = plan.Sampling, Priority = plan.Priority };

    private static GenerationEngine Engine(ModelConfig config, int slots, int chunk, Func<IModelRunner> open) => new(open(), config, Options(config, slots, chunk), TimeProvider.System);

    private static EngineOptions Options(ModelConfig config, int slots, int chunk) =>
        new EngineOptions { Slots = slots, ContextLength = ContextLength, PrefillChunk = chunk, Threads = 1 }.ValidatedFor(config);
}
