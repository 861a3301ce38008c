using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Core.Packaging.Import;
using TrainServe.Export;
using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests;

/// <summary>Makes model directories that a server takes.</summary>
internal static class ModelDirectory
{
    /// <summary>Random weights of a small shape: it says nonsense, fast.</summary>
    public static ModelPackage Tiny(string directory, int contextLength = 8192, ulong seed = 1)
    {
        TinyPackages.Write(directory, TinyModels.Config(TinyPackages.VocabSize, hiddenSize: 32, intermediateSize: 48, heads: 2, keyValueHeads: 1, maxPositions: contextLength), seed);
        return Export(directory);
    }

    /// <summary>The same, but it always says the likeliest token where a request does not wish otherwise. It goes round in circles and never ends.</summary>
    public static ModelPackage Endless(string directory)
    {
        var package = Tiny(directory);
        string path = Path.Combine(directory, ModelPackage.GenerationConfigFile);
        File.WriteAllText(path, """{"do_sample":false}""");
        (package.Manifest! with { Files = [.. package.Manifest.Files, ModelPackageWriter.Describe(directory, path)] }).Write(package.ManifestPath);
        return ModelPackage.OpenVerified(directory);
    }

    /// <summary>A reward model of random weights.</summary>
    public static ModelPackage TinyReward(string directory, ulong seed = 1)
    {
        var config = TinyModels.Config(TinyPackages.VocabSize, maxPositions: 256) with { Architectures = [ModelConfig.RewardModel], NumLabels = 1 };
        TinyPackages.Write(directory, config, seed);
        return Export(directory);
    }

    /// <summary>The 260K model of llama2.c, which tells children's stories.</summary>
    public static ModelPackage Stories(string directory)
    {
        string weights = SharedData.File("models/stories260K/stories260K.bin"), tokenizer = SharedData.File("models/stories260K/tok512.bin");
        Llama2cImporter.Import(weights, tokenizer, directory, TimeProvider.System);
        return Export(directory);
    }

    /// <summary>Adds an fp32 export. Nothing is measured here, so the certificate only has the right form: that exports are right is proven elsewhere.</summary>
    private static ModelPackage Export(string directory)
    {
        var package = ModelPackage.Open(directory);
        string folder = Path.Combine(directory, ModelPackage.OnnxDirectory("fp32"));
        using (var weights = package.OpenWeights())
        {
            OnnxExporter.Export(package.Config, weights, folder, ExportPrecision.Fp32);
        }
        var graph = ModelPackageWriter.Describe(directory, Path.Combine(folder, OnnxExporter.GraphFile));
        var data = ModelPackageWriter.Describe(directory, Path.Combine(folder, OnnxExporter.DataFile));
        var certificate = new ParityCertificate
        {
            Precision = "fp32",
            Measured = DateTimeOffset.UtcNow,
            WeightsSha256 = package.Manifest!.File(ModelPackage.WeightsFile)!.Sha256,
            GraphSha256 = graph.Sha256,
            DataSha256 = data.Sha256,
            Tolerance = 1,
            Positions = 1,
            TeacherForcedError = 0,
            ChunkedError = 0,
            TokenByTokenError = 0,
            BatchedError = 0,
            GreedyPrompts = 1,
            GreedyTokens = 1,
            GreedyEqual = 1,
            GreedyNearTies = 0,
            Runtimes = "none",
        };
        (package.Manifest with { Files = [.. package.Manifest.Files, graph, data], Certificates = [certificate] }).Write(package.ManifestPath);
        return ModelPackage.OpenVerified(directory);
    }
}
