using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Core.Random;
using TrainServe.Export;
using TrainServe.Inference.Execution;
using TrainServe.TestSupport;

namespace TrainServe.Inference.Tests;

/// <summary>A tiny model of random weights, exported into a directory of its own.</summary>
internal sealed class ExportedModel : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    /// <param name="config">Its shape.</param>
    /// <param name="seed">Of its weights.</param>
    /// <param name="spoil">May change the embedding before it is stored.</param>
    public ExportedModel(ModelConfig config, ulong seed = 1, Action<float[]>? spoil = null)
    {
        Config = config;
        config.Write(_directory.PathOf(ModelPackage.ConfigFile));
        RandomWeights.Write(_directory.PathOf(ModelPackage.WeightsFile), config, seed, (name, values) => (name == WeightNames.Embedding ? spoil : null)?.Invoke(values));
        using var weights = SafeTensorsReader.Open(_directory.PathOf(ModelPackage.WeightsFile));
        Reference = new ReferenceTransformer(config, weights);
        OnnxExporter.Export(config, weights, _directory.PathOf("onnx", "fp32"), ExportPrecision.Fp32);
    }

    /// <summary>A model directory that lies elsewhere, exported into a directory of its own.</summary>
    public ExportedModel(ModelPackage package)
    {
        Config = package.Config;
        Config.Write(_directory.PathOf(ModelPackage.ConfigFile));
        using var weights = package.OpenWeights();
        Reference = new ReferenceTransformer(Config, weights);
        OnnxExporter.Export(Config, weights, _directory.PathOf("onnx", "fp32"), ExportPrecision.Fp32);
    }

    public ModelConfig Config { get; }
    public ReferenceTransformer Reference { get; }
    public string GraphPath => _directory.PathOf("onnx", "fp32", OnnxExporter.GraphFile);
    public ModelPackage Package => ModelPackage.Open(_directory.FullName);

    /// <summary>A runner on one thread: tiny models gain nothing from more, and tests share the cores.</summary>
    public OnnxModelRunner OpenRunner(int slots = 1) => OnnxModelRunner.Open(GraphPath, Config, new RunnerOptions { Slots = slots, ContextLength = Config.MaxPositionEmbeddings, Threads = 1 });

    /// <summary>Token ids drawn from a seed.</summary>
    public int[] Text(int length, ulong seed = 7)
    {
        var random = new PhiloxRandom(seed);
        return [.. Enumerable.Range(0, length).Select(_ => random.NextInt32(Config.VocabSize))];
    }

    public void Dispose() => _directory.Dispose();
}
