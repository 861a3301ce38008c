using CsCheck;
using TrainServe.Core.Random;
using TrainServe.Core.Sampling;

namespace TrainServe.Core.Tests.Sampling;

public sealed class TokenSamplerTests
{
    // Few different values, so that equal logits are common; some tokens forbidden.
    private static readonly Gen<float> Logit = Gen.Frequency((6, Gen.Float[-6, 6]), (3, Gen.Int[-3, 3].Select(i => (float)i)), (1, Gen.Const(float.NegativeInfinity)));
    private static readonly Gen<float[]> Logits = Logit.Array[1, 700].Where(logits => logits.Any(float.IsFinite));

    private static readonly Gen<SamplingParameters> Parameters =
        Gen.Select(Gen.Float[0.05f, 5], Gen.OneOf(Gen.Const(0), Gen.Int[1, 800]), Gen.OneOf(Gen.Const(1f), Gen.Float[0.01f, 1]), Gen.OneOf(Gen.Const(0f), Gen.Float[0, 1]))
            .Select((temperature, topK, topP, minP) => new SamplingParameters { Temperature = temperature, TopK = topK, TopP = topP, MinP = minP });

    [Fact]
    public void A_choice_is_that_of_a_plain_sort_and_sum()
    {
        Gen.Select(Logits, Parameters, Gen.ULong, Gen.Int[0, 1000]).Sample((logits, parameters, seed, position) =>
        {
            int id = new TokenSampler(logits.Length).Sample(logits, parameters, null, seed, position).Id;

            AssertAllowed(Reference.Distribution(logits, parameters, [], []), id, new PhiloxRandomAt(seed, position).Uniform);
        }, iter: 3000);
    }

    [Fact]
    public void Bias_and_penalties_change_the_distribution_as_stated()
    {
        var tokens = Gen.Int[0, 39].Array[0, 30];
        Gen.Select(Gen.Float[-4, 4].Array[40], tokens, tokens, Gen.Float[-2, 2], Gen.Float[-2, 2], Gen.Float[0.5f, 2], Gen.ULong)
            .Sample((logits, prompt, generated, frequency, presence, repetition, seed) =>
            {
                var parameters = new SamplingParameters
                {
                    FrequencyPenalty = frequency,
                    PresencePenalty = presence,
                    RepetitionPenalty = repetition,
                    LogitBias = new Dictionary<int, float> { [3] = 2, [17] = -100 },
                };
                var history = new TokenHistory(prompt);
                Array.ForEach(generated, history.Add);

                int id = new TokenSampler(40).Sample(logits, parameters, history, seed, 5).Id;

                AssertAllowed(Reference.Distribution(logits, parameters, prompt, generated), id, new PhiloxRandomAt(seed, 5).Uniform);
            }, iter: 3000);
    }

    [Fact]
    public void Temperature_zero_takes_the_largest_logit_and_of_equals_the_first()
    {
        Gen.Select(Logits, Parameters, Gen.ULong).Sample((logits, parameters, seed) =>
        {
            var sampler = new TokenSampler(logits.Length);
            Assert.Equal(Array.IndexOf(logits, logits.Max()), sampler.Sample(logits, parameters with { Temperature = 0 }, null, seed, 0).Id);
        }, iter: 1000);
    }

    [Fact]
    public void Log_probabilities_are_the_models_own_whatever_the_parameters()
    {
        Gen.Select(Logits, Parameters, Gen.ULong, Gen.Int[1, 20]).Sample((logits, parameters, seed, count) =>
        {
            var sampler = new TokenSampler(logits.Length);
            double total = Math.Log(logits.Sum(logit => Math.Exp(logit)));

            var chosen = sampler.Sample(logits, parameters with { LogitBias = new Dictionary<int, float> { [0] = -50 } }, null, seed, 0);
            var best = sampler.MostLikely(logits, count);

            Assert.Equal(logits[chosen.Id] - total, chosen.LogProb, 1e-4);
            int[] expected = [.. Enumerable.Range(0, logits.Length).OrderByDescending(id => logits[id]).Take(count)];
            Assert.Equal(expected, best.Select(token => token.Id));
            Assert.All(best.Where(token => float.IsFinite(logits[token.Id])), token => Assert.Equal(logits[token.Id] - total, token.LogProb, 1e-4));
        }, iter: 1000);
    }

    [Fact]
    public void A_choice_depends_on_seed_and_position_and_not_on_what_was_chosen_before()
    {
        var sampler = new TokenSampler(50);
        float[] logits = new float[50];
        int[] inOrder = Draw(Enumerable.Range(0, 40), seed: 11);

        Assert.Equal(inOrder, Draw(Enumerable.Range(0, 40).Reverse(), seed: 11).Reverse());
        Assert.NotEqual(inOrder, Draw(Enumerable.Range(0, 40), seed: 12));
        Assert.True(inOrder.Distinct().Count() > 15);

        int[] Draw(IEnumerable<int> positions, ulong seed) => [.. positions.Select(position => sampler.Sample(logits, new SamplingParameters(), null, seed, position).Id)];
    }

    [Fact]
    public void Choices_come_as_often_as_their_probabilities_say()
    {
        float[] logits = [MathF.Log(0.5f), MathF.Log(0.3f), MathF.Log(0.15f), MathF.Log(0.05f)];
        var sampler = new TokenSampler(4);
        const int Draws = 20_000;

        int[] counts = new int[4];
        for (int position = 0; position < Draws; position++)
        {
            counts[sampler.Sample(logits, new SamplingParameters(), null, 1, position).Id]++;
        }

        // Pearson's chi-squared with three degrees of freedom exceeds 16.3 once in a thousand seeds; this seed is fixed.
        double[] expected = [0.5 * Draws, 0.3 * Draws, 0.15 * Draws, 0.05 * Draws];
        Assert.InRange(counts.Zip(expected, (count, mean) => (count - mean) * (count - mean) / mean).Sum(), 0, 16.3);
    }

    [Fact]
    public void A_large_flat_vocabulary_is_cut_exactly_at_the_mass()
    {
        var random = new PhiloxRandom(3);
        float[] logits = [.. Enumerable.Range(0, 20_000).Select(_ => random.NextSingle())];
        var parameters = new SamplingParameters { TopP = 0.7f };
        double[] distribution = Reference.Distribution(logits, parameters, [], []);
        var sampler = new TokenSampler(logits.Length);

        for (int position = 0; position < 200; position++)
        {
            AssertAllowed(distribution, sampler.Sample(logits, parameters, null, 8, position).Id, new PhiloxRandomAt(8, position).Uniform);
        }
    }

    // Surprises 0.693, 1.204, 1.897 and 2.996 nats, entropy 1.142: the second token is nearest, then the first, the third, the fourth.
    [Theory]
    [InlineData(0f, new[] { 1 })]
    [InlineData(0.29f, new[] { 1 })]
    [InlineData(0.31f, new[] { 0, 1 })]
    [InlineData(0.79f, new[] { 0, 1 })]
    [InlineData(0.81f, new[] { 0, 1, 2 })]
    [InlineData(1f, new[] { 0, 1, 2, 3 })]
    public void Typical_p_keeps_the_tokens_whose_surprise_is_nearest_to_the_entropy(float mass, int[] kept)
    {
        float[] logits = [MathF.Log(0.5f), MathF.Log(0.3f), MathF.Log(0.15f), MathF.Log(0.05f)];
        var sampler = new TokenSampler(4);

        var chosen = Enumerable.Range(0, 500).Select(position => sampler.Sample(logits, new SamplingParameters { TypicalP = mass }, null, 1, position).Id);

        Assert.Equal(kept, chosen.Distinct().Order());
    }

    [Fact]
    public void Typical_p_looks_at_what_the_other_filters_left()
    {
        // Of 5/8 and 3/8, entropy 0.662, the surprises are 0.470 and 0.981: the first is nearer.
        float[] logits = [MathF.Log(0.5f), MathF.Log(0.3f), MathF.Log(0.15f), MathF.Log(0.05f)];
        var sampler = new TokenSampler(4);

        Assert.All(Enumerable.Range(0, 100), position => Assert.Equal(0, sampler.Sample(logits, new SamplingParameters { TopK = 2, TypicalP = 0.5f }, null, 1, position).Id));
    }

    [Theory]
    [InlineData(float.Epsilon)]
    [InlineData(1e-40f)]
    [InlineData(1e-20f)]
    public void A_tiny_temperature_is_as_good_as_none(float temperature)
    {
        float[] logits = [1, 3, 2.9f, -5];

        Assert.Equal(1, new TokenSampler(4).Sample(logits, new SamplingParameters { Temperature = temperature, TopP = 0.9f }, null, 1, 1).Id);
        Assert.Equal(1, new TokenSampler(4).Sample(logits, new SamplingParameters { Temperature = temperature }, null, 1, 1).Id);
    }

    [Fact]
    public void In_a_large_vocabulary_it_is_still_the_first_of_the_largest()
    {
        // Few values, and sizes around whole pieces of the search.
        var logit = Gen.Int[-2, 2].Select(i => (float)i);
        Gen.OneOf(Gen.Int[1, 3], Gen.Int[2046, 2050], Gen.Int[4094, 4098], Gen.Int[5000, 9000]).SelectMany(size => Gen.Select(Gen.Const(size), Gen.Int[0, size - 1].Array[0, 3], logit.Array[50]))
            .Sample((size, peaks, values) =>
            {
                float[] logits = [.. Enumerable.Range(0, size).Select(i => values[i % values.Length])];
                Array.ForEach(peaks, peak => logits[peak] = 3);

                Assert.Equal(Array.IndexOf(logits, logits.Max()), new TokenSampler(size).Sample(logits, SamplingParameters.Greedy, null, 0, 0).Id);
            }, iter: 500);
    }

    [Theory]
    [InlineData(float.NaN, 100, 70)]
    [InlineData(float.PositiveInfinity, 100, 70)]
    [InlineData(float.NaN, 7000, 0)]
    [InlineData(float.NaN, 7000, 2500)]
    [InlineData(float.NaN, 7000, 6999)]
    [InlineData(float.PositiveInfinity, 7000, 6999)]
    public void A_logit_that_is_no_number_is_refused_by_name(float value, int size, int place)
    {
        float[] logits = new float[size];
        logits[place] = value;

        foreach (var parameters in new[] { SamplingParameters.Greedy, new SamplingParameters(), new SamplingParameters { TopK = 3 }, new SamplingParameters { TopP = 0.5f }, new SamplingParameters { TopP = 0 } })
        {
            Assert.Throws<NonFiniteLogitsException>(() => new TokenSampler(size).Sample(logits, parameters, null, 0, 0));
        }
    }

    [Fact]
    public void A_vocabulary_in_which_all_is_forbidden_is_refused() =>
        Assert.Throws<NonFiniteLogitsException>(() => new TokenSampler(2).Sample([float.NegativeInfinity, float.NegativeInfinity], new SamplingParameters(), null, 0, 0));

    [Fact]
    public void Sampling_allocates_nothing_in_the_long_run()
    {
        var random = new PhiloxRandom(4);
        float[] logits = [.. Enumerable.Range(0, 2000).Select(_ => 3 * random.NextSingle())];
        var sampler = new TokenSampler(logits.Length);
        SamplingParameters[] all = [SamplingParameters.Greedy, new(), new() { TopK = 40 }, new() { TopP = 0.9f }, new() { TopK = 50, TopP = 0.5f }, new() { MinP = 0.1f }, new() { TypicalP = 0.5f }];
        Sample();
        long before = GC.GetAllocatedBytesForCurrentThread();
        Sample();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        void Sample()
        {
            foreach (var parameters in all)
            {
                sampler.Sample(logits, parameters, null, 5, 6);
            }
        }
    }

    [Fact]
    public void Parameters_outside_their_range_are_refused_and_named()
    {
        foreach (var (parameters, name) in new (SamplingParameters, string)[]
        {
            (new() { Temperature = -1 }, "Temperature"), (new() { Temperature = float.NaN }, "Temperature"), (new() { Temperature = float.PositiveInfinity }, "Temperature"),
            (new() { TopK = -1 }, "TopK"), (new() { TopP = -0.1f }, "TopP"), (new() { TopP = 1.1f }, "TopP"), (new() { TopP = float.NaN }, "TopP"),
            (new() { TypicalP = 1.1f }, "TypicalP"), (new() { MinP = -0.1f }, "MinP"), (new() { MinP = float.NaN }, "MinP"), (new() { FrequencyPenalty = 3 }, "FrequencyPenalty"), (new() { FrequencyPenalty = float.NaN }, "FrequencyPenalty"),
            (new() { PresencePenalty = -3 }, "PresencePenalty"), (new() { RepetitionPenalty = 0 }, "RepetitionPenalty"), (new() { RepetitionPenalty = float.NaN }, "RepetitionPenalty"),
            (new() { TopLogProbs = -1 }, "TopLogProbs"), (new() { TopLogProbs = 11 }, "TopLogProbs"), (new() { LogitBias = new Dictionary<int, float> { [10] = 1 } }, "LogitBias"),
            (new() { LogitBias = new Dictionary<int, float> { [0] = float.NaN } }, "LogitBias"),
        })
        {
            Assert.Contains(name, Assert.Throws<ArgumentException>(() => parameters.Validated(vocabSize: 10)).Message, StringComparison.Ordinal);
        }
        Assert.NotNull(new SamplingParameters { LogitBias = new Dictionary<int, float>() }.Validated(10));
    }

    // The uniform number must point into the token's own stretch, up to the rounding of single precision.
    private static void AssertAllowed(double[] distribution, int id, double uniform)
    {
        const double Rounding = 2e-5;
        double before = distribution.Take(id).Sum();
        Assert.InRange(uniform, before - Rounding, before + distribution[id] + Rounding);
        Assert.True(distribution[id] > 0 || Reference.IsNearCut, $"Token {id} was cut off.");
    }

    private sealed record PhiloxRandomAt(ulong Seed, long Position)
    {
        // The position is the generator's own count of blocks of four numbers.
        public double Uniform => new PhiloxRandom(Seed, stream: 0, position: 4 * (ulong)Position).NextDouble();
    }

    /// <summary>The stated order, written with sorting and double precision.</summary>
    private static class Reference
    {
        public static bool IsNearCut { get; private set; }

        public static double[] Distribution(float[] logits, SamplingParameters parameters, int[] prompt, int[] generated)
        {
            double[] scores = Array.ConvertAll(logits, logit => (double)logit);
            foreach (var (id, bias) in parameters.LogitBias ?? new Dictionary<int, float>())
            {
                scores[id] += bias;
            }
            foreach (int id in prompt.Concat(generated).Distinct())
            {
                scores[id] = scores[id] > 0 ? scores[id] / parameters.RepetitionPenalty : scores[id] * parameters.RepetitionPenalty;
            }
            foreach (var group in generated.GroupBy(id => id))
            {
                scores[group.Key] -= group.Count() * parameters.FrequencyPenalty + parameters.PresencePenalty;
            }
            double highest = scores.Max();
            double[] weights = Array.ConvertAll(scores, score => Math.Exp((score - highest) / parameters.Temperature));
            int[] order = [.. Enumerable.Range(0, logits.Length).OrderByDescending(id => scores[id])];
            int kept = parameters.TopK > 0 ? Math.Min(parameters.TopK, order.Length) : order.Length;
            double needed = parameters.TopP * order.Take(kept).Sum(id => weights[id]), sum = 0;
            IsNearCut = false;
            for (int i = 0; i < kept && parameters.TopP < 1; i++)
            {
                sum += weights[order[i]];
                IsNearCut |= Math.Abs(sum - needed) < 1e-5 * needed;
                kept = sum >= needed ? i + 1 : kept;
            }
            IsNearCut |= order.Take(kept).Any(id => Math.Abs(weights[id] - parameters.MinP) < 1e-5);
            var survivors = order.Take(kept).Where(id => weights[id] >= parameters.MinP).ToHashSet();
            double total = survivors.Sum(id => weights[id]);
            return [.. weights.Select((weight, id) => survivors.Contains(id) ? weight / total : 0)];
        }
    }
}
