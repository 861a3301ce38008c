using System.Diagnostics;
using System.Runtime.CompilerServices;
using TrainServe.Core.Packaging;
using TrainServe.Core.Random;
using TrainServe.Core.Sampling;
using TrainServe.Inference;
using TrainServe.Inference.Execution;

namespace TrainServe.Cli.Benchmarks;

/// <summary>Runs every measurement once a round, so that what else the machine does touches all of them alike.</summary>
internal sealed class EngineBenchmark(ModelPackage package, EngineBenchmarkPlan plan) : IAsyncDisposable
{
    private const string Engine = "engine, ";
    private readonly List<GenerationEngine> _engines = [.. plan.Precisions.Select(precision => GenerationEngine.Load(package, precision, new EngineOptions
    {
        Slots = plan.Batches.Max(),
        PrefixSlots = 1,
        ContextLength = plan.PromptTokens + plan.Steps,
        PrefillChunk = plan.PromptTokens,
        // The bare loop makes a token a step.
        DraftTokens = 0,
        Threads = plan.Threads,
        Device = plan.Device,
    }))];

    private readonly List<OnnxModelRunner> _runners = [.. plan.Precisions.Select(precision => OnnxModelRunner.Open(package.OnnxModelPath(precision), package.Config, new RunnerOptions
    {
        Slots = plan.Batches.Max(),
        ContextLength = plan.PromptTokens + plan.Steps,
        Threads = plan.Threads,
        Device = plan.Device,
    }))];

    public async Task<IReadOnlyList<EngineFigure>> RunAsync(CancellationToken cancellationToken)
    {
        var speeds = new Dictionary<(string Precision, string Measurement), List<double>>();
        // The first round is for caches and clocks to settle.
        for (int round = 0; round <= plan.Rounds; round++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            foreach (var (precision, runner, engine) in plan.Precisions.Zip(_runners, _engines))
            {
                await foreach (var (measurement, speed) in MeasureAsync(runner, engine, cancellationToken))
                {
                    if (round > 0)
                    {
                        (speeds.TryGetValue((precision, measurement), out var list) ? list : speeds[(precision, measurement)] = []).Add(speed);
                    }
                }
            }
        }
        return [.. speeds.Select(pair => new EngineFigure(pair.Key.Precision, pair.Key.Measurement, Median(pair.Value), Median([.. pair.Value.Zip(speeds[BaseOf(pair.Key)], (speed, other) => speed / other)])))];
    }

    public async ValueTask DisposeAsync()
    {
        _runners.ForEach(runner => runner.Dispose());
        foreach (var engine in _engines)
        {
            await engine.DisposeAsync();
        }
    }

    private (string Precision, string Measurement) BaseOf((string Precision, string Measurement) key) => key.Measurement.StartsWith(Engine, StringComparison.Ordinal)
        ? (key.Precision, key.Measurement[Engine.Length..])
        : (plan.Precisions[0], key.Measurement);

    private async IAsyncEnumerable<(string Measurement, double TokensPerSecond)> MeasureAsync(OnnxModelRunner runner, GenerationEngine engine, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        int[] text = Text();
        yield return ($"prefill {plan.PromptTokens}", Prefill(runner, text));
        foreach (int batch in plan.Batches)
        {
            yield return ($"decode, batch {batch}", Decode(runner, text, batch));
            yield return ($"{Engine}decode, batch {batch}", await DecodeByEngineAsync(engine, text, batch, cancellationToken));
        }
    }

    private double Prefill(OnnxModelRunner runner, int[] text)
    {
        var clock = Stopwatch.StartNew();
        runner.Prefill(0, 0, text.AsSpan(0, plan.PromptTokens), allLogits: false);
        return plan.PromptTokens / clock.Elapsed.TotalSeconds;
    }

    private double Decode(OnnxModelRunner runner, int[] text, int batch)
    {
        // One prompt for all; the attention reads each slot's own copy.
        runner.Prefill(0, 0, text.AsSpan(0, plan.PromptTokens), allLogits: false);
        int[] ids = new int[batch], lengths = new int[batch];
        for (int slot = 1; slot < batch; slot++)
        {
            runner.CopySlot(0, slot, plan.PromptTokens);
        }
        var clock = Stopwatch.StartNew();
        for (int step = 0; step < plan.Steps; step++)
        {
            Array.Fill(ids, text[plan.PromptTokens + step]);
            Array.Fill(lengths, plan.PromptTokens + step);
            runner.Decode(ids, lengths);
        }
        return batch * plan.Steps / clock.Elapsed.TotalSeconds;
    }

    // Scheduling, sampling and streams included. The clock runs while all requests decode together: from when the last has its first token to when the first has its last one.
    // Around that prompts are read and the batch is smaller, which the bare loop does not do.
    private async Task<double> DecodeByEngineAsync(GenerationEngine engine, int[] text, int batch, CancellationToken cancellationToken)
    {
        var request = new GenerationRequest { Id = "bench", PromptIds = text[..plan.PromptTokens], MaxNewTokens = plan.Steps, Sampling = SamplingParameters.Greedy, IgnoreEos = true };
        // The prompt is cached from here on, but for its last two tokens.
        await foreach (var _ in engine.GenerateAsync(request with { MaxNewTokens = 1 }, cancellationToken))
        {
        }
        var gate = new Lock();
        int begun = 0, tokens = 0;
        (int Tokens, long Time) first = default, last = default;
        await Task.WhenAll(Enumerable.Range(0, batch).Select(_ => FollowAsync()));
        return (last.Tokens - first.Tokens) / Stopwatch.GetElapsedTime(first.Time, last.Time).TotalSeconds;

        async Task FollowAsync()
        {
            int own = 0;
            await foreach (var _ in engine.GenerateAsync(request, cancellationToken))
            {
                lock (gate)
                {
                    tokens++;
                    own++;
                    begun += own == 1 ? 1 : 0;
                    if (own == 1 && begun == batch)
                    {
                        first = (tokens, Stopwatch.GetTimestamp());
                    }
                    if (own == plan.Steps && last.Time == 0)
                    {
                        last = (tokens, Stopwatch.GetTimestamp());
                    }
                }
            }
        }
    }

    private int[] Text()
    {
        var random = new PhiloxRandom(1);
        return [.. Enumerable.Range(0, plan.PromptTokens + plan.Steps).Select(_ => random.NextInt32(package.Config.VocabSize))];
    }

    private static double Median(IReadOnlyList<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }
}
