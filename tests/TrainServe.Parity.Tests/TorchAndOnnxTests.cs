using TorchSharp;
using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Core.Random;
using TrainServe.Core.Sampling;
using TrainServe.Export;
using TrainServe.Inference;
using TrainServe.Inference.Execution;
using TrainServe.Model;
using TrainServe.Model.Generation;
using TrainServe.TestSupport;

namespace TrainServe.Parity.Tests;

// T time, V vocabulary.

/// <summary>The network that is trained and the graph that is served are the same function, and are sampled in the same way.</summary>
public sealed class TorchAndOnnxTests : IDisposable
{
    private const double Tolerance = 1e-4;
    private readonly TemporaryDirectory _directory = new();

    public TorchAndOnnxTests() => TorchRuntime.Initialize(1);

    public static TheoryData<ModelConfig> Shapes => new()
    {
        TinyModels.Config(hiddenSize: 32, heads: 4, keyValueHeads: 2),
        TinyModels.Config(hiddenSize: 64, heads: 4, keyValueHeads: 4, tied: true),
        TinyModels.Config(hiddenSize: 48, heads: 2, keyValueHeads: 1, layers: 4),
        TinyModels.Config(hiddenSize: 64, heads: 2, keyValueHeads: 2) with { RopeTheta = 500_000, RmsNormEps = 1e-2f },
        TinyModels.Config(hiddenSize: 24, heads: 4, keyValueHeads: 2) with { HeadDim = 10 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Logits_are_equal_whole_and_token_by_token(ModelConfig config)
    {
        var package = Package(config);
        int[] ids = Text(config, 50);
        float[] expected = TorchLogits(package, ids);
        using var runner = OnnxModelRunner.Open(package.OnnxModelPath("fp32"), config, new RunnerOptions { Slots = 1, ContextLength = config.MaxPositionEmbeddings, Threads = 1 });

        AssertNear(expected, runner.Prefill(0, 0, ids, allLogits: true));
        for (int t = 0; t < ids.Length; t++)
        {
            AssertNear(expected.AsSpan(t * config.VocabSize, config.VocabSize), runner.Prefill(0, t, ids.AsSpan(t, 1), allLogits: false));
        }
    }

    [Fact]
    public async Task Greedy_and_seeded_answers_are_the_same_tokens_with_the_same_log_probabilities()
    {
        var package = Package(TinyModels.Config(hiddenSize: 32, heads: 4, keyValueHeads: 2));
        SamplingParameters[] ways =
        [
            SamplingParameters.Greedy,
            new() { Seed = 5 },
            new() { Seed = 6, Temperature = 0.7f, TopK = 10, TopP = 0.9f },
            new() { Seed = 7, Temperature = 1.3f, MinP = 0.05f, RepetitionPenalty = 1.1f, PresencePenalty = 0.2f, LogitBias = new Dictionary<int, float> { [4] = 1 } },
        ];
        int[] prompt = Text(package.Config, 12);
        var expected = Torch(package, ways, prompt);
        await using var engine = GenerationEngine.Load(package, "fp32", new EngineOptions { Slots = 3, Threads = 1 });

        var actual = await Task.WhenAll(ways.Select(way => CollectAsync(engine, prompt, way)));

        Assert.All(expected.Zip(actual), pair =>
        {
            Assert.Equal(pair.First.Ids, pair.Second.Select(token => token.Id));
            AssertNear([.. pair.First.LogProbs], [.. pair.Second.Select(token => token.LogProb)]);
        });
    }

    public void Dispose() => _directory.Dispose();

    private ModelPackage Package(ModelConfig config)
    {
        config.Validated("the shape").Write(_directory.PathOf(ModelPackage.ConfigFile));
        RandomWeights.Write(_directory.PathOf(ModelPackage.WeightsFile), config);
        var package = ModelPackage.Open(_directory.FullName);
        using var weights = package.OpenWeights();
        OnnxExporter.Export(config, weights, Path.GetDirectoryName(package.OnnxModelPath("fp32"))!, ExportPrecision.Fp32);
        return package;
    }

    private static int[] Text(ModelConfig config, int length)
    {
        var random = new PhiloxRandom(3);
        return [.. Enumerable.Range(0, length).Select(_ => random.NextInt32(config.VocabSize))];
    }

    private static float[] TorchLogits(ModelPackage package, int[] ids)
    {
        using var noGradient = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        using var model = Transformer.Load(package);
        return model.call(torch.tensor(ids, dtype: torch.int64).unsqueeze(0)).contiguous().data<float>().ToArray();
    }

    private static GeneratedSequence[] Torch(ModelPackage package, SamplingParameters[] ways, int[] prompt)
    {
        using var model = Transformer.Load(package);
        var generator = new TextGenerator(model);
        return [.. ways.Select(way => generator.Generate(prompt, 40, way))];
    }

    private static async Task<List<GeneratedToken>> CollectAsync(GenerationEngine engine, int[] prompt, SamplingParameters sampling)
    {
        var tokens = new List<GeneratedToken>();
        await foreach (var token in engine.GenerateAsync(new GenerationRequest { Id = "parity", PromptIds = prompt, MaxNewTokens = 40, Sampling = sampling, IgnoreEos = true }))
        {
            tokens.Add(token);
        }
        return tokens;
    }

    private static void AssertNear(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.InRange(actual[i] - expected[i], -Tolerance, Tolerance);
        }
    }
}
