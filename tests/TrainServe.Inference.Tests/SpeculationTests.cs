using CsCheck;
using TrainServe.Core.Random;
using TrainServe.Core.Sampling;
using TrainServe.Export;
using TrainServe.Inference.Speculation;
using TrainServe.TestSupport;

namespace TrainServe.Inference.Tests;

/// <summary>Guesses change how many steps an answer takes, never the answer.</summary>
public sealed class SpeculationTests
{
    private const int VocabSize = 24, ContextLength = 64;

    [Theory]
    [InlineData("1 2 3 4 9 1 2", 3, "3 4 9")]
    [InlineData("1 2 3 4 9 1 2", 9, "3 4 9 1 2")]
    [InlineData("7 1 2 5 8 1 2 6 7 1 2", 2, "5 8")]
    [InlineData("1 2 5 9 1 2 6 9 1 2", 1, "6")]
    [InlineData("4 4 4 4", 4, "4")]
    [InlineData("1 2 3 4", 4, "")]
    [InlineData("5", 4, "")]
    public void What_followed_the_newest_tokens_the_last_time_is_guessed_to_follow_them_again(string tokens, int most, string expected)
    {
        using var drafter = new PromptLookupDrafter();
        int[] draft = new int[most];
        int count = drafter.Draft(Ids(tokens), draft);
        Assert.Equal(Ids(expected), draft[..count]);
    }

    [Fact]
    public void Answers_are_the_same_whether_guesses_are_right_wrong_or_mixed_and_whoever_else_runs()
    {
        var config = TinyModels.Config(vocabSize: VocabSize, maxPositions: ContextLength);
        var sampling = Gen.OneOf(Gen.Const(SamplingParameters.Greedy), Gen.Select(Gen.ULong, Gen.Float[0.2f, 1.5f]).Select((seed, temperature) =>
            new SamplingParameters { Seed = seed, Temperature = temperature, RepetitionPenalty = 1.3f, TopLogProbs = 2 }));
        var plan = Gen.Select(Gen.Int[0, VocabSize - 1].Array[1, 20], Gen.Int[1, 40], sampling, Gen.Int[0, VocabSize - 1].Array[0, 2]);
        Gen.Select(plan.Array[1, 4], Gen.Int[1, 6], Gen.Double[0, 1], Gen.ULong).Sample((plans, most, share, seed) =>
        {
            var requests = plans.Select(each => new GenerationRequest { Id = "plan", PromptIds = each.Item1, MaxNewTokens = each.Item2, Sampling = each.Item3, StopTokenIds = each.Item4 }).ToArray();
            var alone = requests.Select(request => RunAsync([request], null, 0).GetAwaiter().GetResult().Single()).ToArray();
            var whole = requests.Zip(alone, (request, tokens) => (int[])[.. request.PromptIds, .. tokens.Select(token => token.Id)]).ToArray();
            var guessed = RunAsync(requests, new Oracle(whole, share, seed), most).GetAwaiter().GetResult();
            foreach (var (expected, actual) in alone.Zip(guessed))
            {
                Assert.Equal(expected.Select(token => (token.Id, token.LogProb, token.Finish)), actual.Select(token => (token.Id, token.LogProb, token.Finish)));
                Assert.Equal(expected.SelectMany(token => token.Top), actual.SelectMany(token => token.Top));
            }
        }, iter: 150, threads: 1);

        async Task<List<GeneratedToken>[]> RunAsync(GenerationRequest[] requests, IDrafter? drafter, int most)
        {
            var options = new EngineOptions { Slots = 4, ContextLength = ContextLength, PrefillChunk = 8, Threads = 1, DraftTokens = most }.ValidatedFor(config);
            await using var engine = new GenerationEngine(new HashRunner(VocabSize, slots: 6, ContextLength) { MayHoldGuesses = true }, config, options, TimeProvider.System, drafter);
            return await Task.WhenAll(requests.Select(request => engine.CollectAsync(request)));
        }
    }

    [Fact]
    public async Task Right_guesses_save_steps_and_are_counted()
    {
        var config = TinyModels.Config(vocabSize: VocabSize, maxPositions: ContextLength);
        int[] prompt = [1, 2, 3], truth = [.. prompt, .. HashRunner.Continue(VocabSize, prompt, 40)];
        var runner = new HashRunner(VocabSize, slots: 1, ContextLength) { MayHoldGuesses = true };
        // Nothing but steps takes any time.
        var clock = new ManualTime();
        runner.BeforeStep = _ => clock.Advance(TimeSpan.FromMilliseconds(2));
        var options = new EngineOptions { Slots = 1, ContextLength = ContextLength, DraftTokens = 4, Threads = 1 }.ValidatedFor(config);
        await using var engine = new GenerationEngine(runner, config, options, clock, new Oracle([truth], share: 1, seed: 1));

        Assert.Equal(truth[3..], await engine.IdsAsync(Requests.Greedy(prompt, 40)));
        Assert.InRange(runner.Steps, 9, 20);
        Assert.InRange(engine.Status.DraftedTokensAccepted, 25, 40);
        Assert.Equal(engine.Status.TokensDrafted, engine.Status.DraftedTokensAccepted);
    }

    /// <summary>Eight bits of cache: tokens verified together, at any place, are bit for bit those of single steps.</summary>
    [Theory]
    [InlineData("int8")]
    [InlineData("int4")]
    public async Task On_an_exported_model_a_lookup_and_a_smaller_model_give_the_ids_of_single_steps(string precision)
    {
        using var model = new ExportedModel(TinyModels.Config(vocabSize: VocabSize, hiddenSize: 32, maxPositions: ContextLength), 3, precision: ExportPrecision.Parse(precision));
        using var smaller = new ExportedModel(TinyModels.Config(vocabSize: VocabSize, maxPositions: 40), 4);
        long accepted = 0;
        for (int i = 0; i < 12; i++)
        {
            int[] prompt = model.Text(4 + i, (ulong)i);
            prompt = [.. prompt, .. prompt, .. prompt[..2]];
            int[] expected = await IdsAsync(prompt, null);
            Assert.Equal(expected, await IdsAsync(prompt, new PromptLookupDrafter()));
            Assert.Equal(expected, await IdsAsync(prompt, new ModelDrafter(smaller.OpenRunner(), chunk: 8)));
            Assert.Equal(expected, await IdsAsync(prompt, new ModelDrafter(model.OpenRunner(), chunk: 8)));
        }
        Assert.True(accepted > 50, $"{accepted} guesses were right.");

        async Task<int[]> IdsAsync(int[] prompt, IDrafter? drafter)
        {
            var options = new EngineOptions { Slots = 1, ContextLength = ContextLength, DraftTokens = 4, Threads = 1 }.ValidatedFor(model.Config);
            await using var engine = new GenerationEngine(model.OpenRunner(2), model.Config, options, TimeProvider.System, drafter);
            int[] ids = await engine.IdsAsync(Requests.Greedy(prompt, ContextLength) with { IgnoreEos = true });
            accepted += engine.Status.DraftedTokensAccepted;
            return ids;
        }
    }

    [Fact]
    public void Guessing_ends_where_it_does_not_pay_and_is_tried_again_ever_more_rarely()
    {
        var pace = new SpeculationPace();
        var tried = new List<int>();
        for (int step = 0; step < 3000; step++)
        {
            if (pace.ShouldGuess)
            {
                tried.Add(step);
                pace.Verified(seconds: 0.02, drafted: 4, accepted: 0);
            }
            else
            {
                pace.Plain(seconds: 0.01);
            }
        }
        Assert.InRange(tried.Count, 5, 15);
        Assert.True(tried[^1] - tried[^2] > 10 * (tried[4] - tried[3]));
    }

    [Fact]
    public void Guessing_goes_on_where_it_pays_and_comes_back_when_it_pays_again()
    {
        var pace = new SpeculationPace();
        Assert.InRange(Guessed(accepted: 3, steps: 1000), 950, 999);
        Assert.InRange(Guessed(accepted: 0, steps: 1000), 1, 60);
        Assert.InRange(Guessed(accepted: 3, steps: 4000), 2000, 3999);
        Assert.True(pace.Accepted < pace.Drafted);

        int Guessed(int accepted, int steps)
        {
            int guessed = 0;
            for (int step = 0; step < steps; step++)
            {
                if (pace.ShouldGuess)
                {
                    guessed++;
                    pace.Verified(seconds: 0.02, drafted: 4, accepted);
                }
                else
                {
                    pace.Plain(seconds: 0.01);
                }
            }
            return guessed;
        }
    }

    private static int[] Ids(string text) => [.. text.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(id => int.Parse(id, System.Globalization.CultureInfo.InvariantCulture))];

    /// <summary>Knows the whole texts, and guesses each token right with a given chance.</summary>
    private sealed class Oracle(int[][] texts, double share, ulong seed) : IDrafter
    {
        private readonly PhiloxRandom _random = new(seed);

        public int Draft(ReadOnlySpan<int> tokens, Span<int> draft)
        {
            foreach (int[] text in texts)
            {
                if (text.Length > tokens.Length && text.AsSpan(0, tokens.Length).SequenceEqual(tokens))
                {
                    int count = Math.Min(draft.Length, text.Length - tokens.Length);
                    for (int i = 0; i < count; i++)
                    {
                        draft[i] = _random.NextSingle() < share ? text[tokens.Length + i] : 0;
                    }
                    return count;
                }
            }
            return 0;
        }

        public void Dispose()
        {
        }
    }
}
