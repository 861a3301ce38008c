using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Core.Random;
using TrainServe.Export;
using TrainServe.Inference.Execution;
using TrainServe.TestSupport;

namespace TrainServe.Inference.Tests;

/// <summary>A tiny model, exported into a directory of its own.</summary>
internal sealed class ExportedModel : IDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly ExportPrecision _precision;

    /// <summary>Random weights.</summary>
    /// <param name="config">Its shape.</param>
    /// <param name="seed">Of its weights.</param>
    /// <param name="spoil">May change the embedding before it is stored.</param>
    /// <param name="precision">Null takes single precision.</param>
    public ExportedModel(ModelConfig config, ulong seed = 1, Action<float[]>? spoil = null, ExportPrecision? precision = null)
    {
        (Config, _precision) = (config, precision ?? ExportPrecision.Fp32);
        RandomWeights.Write(_directory.PathOf(ModelPackage.WeightsFile), config, seed, (name, values) => (name == WeightNames.Embedding ? spoil : null)?.Invoke(values));
        using var weights = SafeTensorsReader.Open(_directory.PathOf(ModelPackage.WeightsFile));
        Reference = Export(weights);
    }

    /// <summary>A model directory that lies elsewhere.</summary>
    public ExportedModel(ModelPackage package, ExportPrecision? precision = null)
    {
        (Config, _precision) = (package.Config, precision ?? ExportPrecision.Fp32);
        using var weights = package.OpenWeights();
        Reference = Export(weights);
    }

    public ModelConfig Config { get; }
    public ReferenceTransformer Reference { get; }
    public string GraphPath => PathOf(_precision);
    public ModelPackage Package => ModelPackage.Open(_directory.FullName);

    /// <summary>A runner on one thread: tiny models gain nothing from more, and tests share the cores.</summary>
    public OnnxModelRunner OpenRunner(int slots = 1, InferenceDevice? device = null) => Open(_precision, slots, device);

    /// <summary>Token ids drawn from a seed.</summary>
    public int[] Text(int length, ulong seed = 7)
    {
        var random = new PhiloxRandom(seed);
        return [.. Enumerable.Range(0, length).Select(_ => random.NextInt32(Config.VocabSize))];
    }

    public void Dispose() => _directory.Dispose();

    private ReferenceTransformer Export(SafeTensorsReader weights)
    {
        Config.Write(_directory.PathOf(ModelPackage.ConfigFile));
        Export(weights, ExportPrecision.Fp32, null);
        if (_precision.Rounds)
        {
            Export(weights, _precision, Calibrate());
        }
        return new ReferenceTransformer(Config, weights);
    }

    private void Export(SafeTensorsReader weights, ExportPrecision precision, CacheScales? scales) =>
        OnnxExporter.Export(Config, weights, _directory.PathOf("onnx", precision.Name), precision, scales);

    private CacheScales Calibrate()
    {
        using var runner = Open(ExportPrecision.Fp32, slots: 1);
        int[] text = Text(Config.MaxPositionEmbeddings, seed: 99);
        runner.Prefill(0, 0, text, allLogits: false);
        var layers = Enumerable.Range(0, Config.NumHiddenLayers).Select(layer => runner.LargestCached(layer, 0, text.Length)).ToList();
        return new CacheScales([.. layers.Select(layer => Scales(layer.Keys))], [.. layers.Select(layer => Scales(layer.Values))]);
    }

    private static float[] Scales(float[] largest) => Array.ConvertAll(largest, value => value > 0 ? value / 100 : 1);

    private OnnxModelRunner Open(ExportPrecision precision, int slots, InferenceDevice? device = null) =>
        OnnxModelRunner.Open(PathOf(precision), Config, new RunnerOptions { Slots = slots, ContextLength = Config.MaxPositionEmbeddings, Threads = 1, Device = device ?? InferenceDevice.Cpu });

    private string PathOf(ExportPrecision precision) => _directory.PathOf("onnx", precision.Name, OnnxExporter.GraphFile);
}
