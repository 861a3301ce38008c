using System.Security.Cryptography;
using System.Text.Json;
using Google.Protobuf;
using TrainServe.Core;
using TrainServe.Core.IO;
using TrainServe.Core.Packaging;
using TrainServe.Export.Protos;

namespace TrainServe.Export;

/// <summary>Writes a model's weights as an ONNX graph with external data. Runs nothing; the same input gives the same bytes.</summary>
public static class OnnxExporter
{
    public const string GraphFile = "model.onnx", DataFile = "model.onnx.data";

    /// <summary>The exporter's own version, raised with every change of the graph.</summary>
    public const int Version = 4;

    /// <param name="config">The model's shape.</param>
    /// <param name="weights">Its weights, under Hugging Face's names.</param>
    /// <param name="directory">Where to write <see cref="GraphFile"/> and <see cref="DataFile"/>; made if it is missing.</param>
    /// <param name="precision">How to store the weights.</param>
    /// <param name="cacheScales">Needed where the precision has an eight-bit cache.</param>
    /// <exception cref="ArgumentException">The scales of the cache are missing, or are for another shape.</exception>
    /// <exception cref="InvalidDataException">A weight is missing or of another shape.</exception>
    /// <exception cref="IOException">The disk is full or failed.</exception>
    public static void Export(ModelConfig config, SafeTensorsReader weights, string directory, ExportPrecision precision, CacheScales? cacheScales = null)
    {
        RequireScales(config, precision, cacheScales);
        weights.RequireWeightsOf(config);
        Directory.CreateDirectory(directory);
        string dataPath = Path.Combine(directory, DataFile);
        GraphProto graph;
        using (var data = new ExternalDataWriter(dataPath))
        {
            graph = new TransformerGraphBuilder(config, weights, data, precision, cacheScales).Build();
        }
        DurableFile.Sync(dataPath);
        var model = new ModelProto { IrVersion = 10, ProducerName = "TrainServe", ProducerVersion = $"{Version}", Graph = graph };
        model.OpsetImport.Add(new OperatorSetIdProto { Domain = "", Version = 21 });
        model.OpsetImport.Add(new OperatorSetIdProto { Domain = "com.microsoft", Version = 1 });
        if (precision.IsQuantized)
        {
            model.OpsetImport.Add(new OperatorSetIdProto { Domain = GraphNames.KernelDomain, Version = 1 });
        }
        model.MetadataProps.Add(ExternalDataWriter.Entry("trainserve.precision", precision.Name));
        model.MetadataProps.Add(ExternalDataWriter.Entry("trainserve.config_sha256", Convert.ToHexStringLower(SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(config, JsonFile.SnakeCase)))));
        model.MetadataProps.Add(ExternalDataWriter.Entry("trainserve.weights_sha256", FileHash.OfFile(weights.Path)));
        DurableFile.Write(Path.Combine(directory, GraphFile), model.ToByteArray());
    }

    private static void RequireScales(ModelConfig config, ExportPrecision precision, CacheScales? scales)
    {
        int expected = config.NumKeyValueHeads * new HeadLayout(config).Size;
        bool fits = scales is not null && scales.Keys.Count == config.NumHiddenLayers && scales.Values.Count == config.NumHiddenLayers
            && scales.Keys.Concat(scales.Values).All(layer => layer.Length == expected && Array.TrueForAll(layer, scale => float.IsFinite(scale) && scale > 0));
        if (precision.CacheBits == 8 && !fits)
        {
            throw new ArgumentException($"{precision} needs scales of the cache: {config.NumHiddenLayers} layers of {expected} positive numbers, for keys and for values.", nameof(scales));
        }
    }
}
