using TrainServe.Core;
using TrainServe.Core.Sampling;
using TrainServe.Inference.Execution;
using TrainServe.TestSupport;

namespace TrainServe.Inference.Tests;

public sealed class AllocationTests
{
    private const int VocabSize = 300, ContextLength = 1024, Steps = 800;

    public static TheoryData<SamplingParameters> Ways => new()
    {
        SamplingParameters.Greedy,
        new SamplingParameters { Seed = 1, Temperature = 0.8f, TopK = 40, TopP = 0.9f, MinP = 0.01f },
    };

    /// <summary>Schedule, run, sample and publish, for four streams at a time.</summary>
    [Theory]
    [MemberData(nameof(Ways))]
    public async Task A_decode_step_allocates_nothing_on_the_engines_thread(SamplingParameters sampling)
    {
        var runner = new FlatRunner();
        var config = TinyModels.Config(vocabSize: VocabSize, maxPositions: ContextLength);
        await using (var engine = new GenerationEngine(runner, config, new EngineOptions { Slots = 4, ContextLength = ContextLength }.ValidatedFor(config), TimeProvider.System))
        {
            await Task.WhenAll(Enumerable.Range(0, 4).Select(i => ReadAsync(engine, i)));
        }

        // Between two steps of all four, after the first half. Queues of the thread pool and of a stream whose reader lags grow now and then.
        long[] steps = [.. runner.Allocated.Zip(runner.Allocated.Skip(1), (earlier, later) => later - earlier).Skip(Steps / 2)];
        Assert.True(steps.Length > 100);
        Assert.InRange(steps.Count(bytes => bytes > 0), 0, steps.Length / 20);

        async Task ReadAsync(GenerationEngine engine, int i)
        {
            var request = new GenerationRequest { Id = "quiet", PromptIds = [i, 2], MaxNewTokens = Steps, Sampling = sampling, IgnoreEos = true };
            await foreach (var token in engine.GenerateAsync(request))
            {
                Assert.InRange(token.Id, 0, VocabSize - 1);
            }
        }
    }

    /// <summary>Allocates nothing itself, and notes before each step of four what the thread has allocated.</summary>
    private sealed class FlatRunner : IModelRunner
    {
        private readonly float[] _logits = [.. Enumerable.Range(0, 4 * VocabSize).Select(i => i * 0.37f % 5)];

        public List<long> Allocated { get; } = new(2 * Steps);
        int IModelRunner.VocabSize => VocabSize;
        int IModelRunner.ContextLength => ContextLength;
        public int Slots => 4;
        public bool GivesHidden => false;

        public ReadOnlySpan<float> Prefill(int slot, int start, ReadOnlySpan<int> ids, bool allLogits) => _logits.AsSpan(0, VocabSize);
        public ReadOnlySpan<float> PrefillHidden(int slot, int start, ReadOnlySpan<int> ids) => throw new NotSupportedException();

        public ReadOnlySpan<float> Decode(ReadOnlySpan<int> ids, ReadOnlySpan<int> lengths)
        {
            if (ids.Length == 4)
            {
                Allocated.Add(GC.GetAllocatedBytesForCurrentThread());
            }
            return _logits.AsSpan(0, ids.Length * VocabSize);
        }

        public void CopySlot(int from, int to, int tokens)
        {
        }

        public void Dispose()
        {
        }
    }
}
