using System.Globalization;
using System.Runtime.InteropServices;
using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Export.Protos;
using TrainServe.TestSupport;

namespace TrainServe.Export.Tests;

public sealed class OnnxExporterTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    [Theory]
    [InlineData(true, "fp32")]
    [InlineData(false, "fp32")]
    [InlineData(true, "fp16")]
    [InlineData(true, "int8")]
    [InlineData(false, "int4")]
    public void The_same_weights_give_the_same_bytes(bool tied, string precision)
    {
        var config = TinyModels.Config(tied: tied);

        string first = Export(config, "first", ExportPrecision.Parse(precision)), second = Export(config, "second", ExportPrecision.Parse(precision));

        foreach (string file in (string[])[OnnxExporter.GraphFile, OnnxExporter.DataFile])
        {
            Assert.Equal(File.ReadAllBytes(Path.Combine(first, file)), File.ReadAllBytes(Path.Combine(second, file)));
        }
        Assert.Equal([OnnxExporter.GraphFile, OnnxExporter.DataFile], Directory.EnumerateFiles(first).Select(path => Path.GetFileName(path)!).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Inputs_and_outputs_are_those_that_the_engine_binds()
    {
        var config = TinyModels.Config();
        var graph = Read(Export(config)).Graph;

        Assert.Equal(
            ["input_ids [B, S]", "seqlens_k [B]", "total_sequence_length [1]", "logit_idx [R]", "past_key.0 [B, 2, M, 16]", "past_value.0 [B, 2, M, 16]", "past_key.1 [B, 2, M, 16]", "past_value.1 [B, 2, M, 16]"],
            graph.Input.Select(Describe));
        Assert.Equal(
            ["logits [R, 32]", "hidden [R, 16]", "present_key.0 [B, 2, M, 16]", "present_value.0 [B, 2, M, 16]", "present_key.1 [B, 2, M, 16]", "present_value.1 [B, 2, M, 16]"],
            graph.Output.Select(Describe));
    }

    [Theory]
    [InlineData(16, true, "fp32")]
    [InlineData(16, false, "fp32")]
    [InlineData(16, true, "fp16")]
    [InlineData(16, false, "fp16")]
    [InlineData(64, true, "int8")]
    [InlineData(64, false, "int8")]
    [InlineData(24, true, "int4")] // no whole block in a row
    [InlineData(32, false, "int4")]
    public void Every_node_reads_only_what_came_before_it_and_every_weight_is_read(int width, bool tied, string precision)
    {
        var model = Read(Export(TinyModels.Config(hiddenSize: width, tied: tied), precision: ExportPrecision.Parse(precision)));
        var known = new HashSet<string>(model.Graph.Input.Select(input => input.Name).Concat(model.Graph.Initializer.Select(tensor => tensor.Name)), StringComparer.Ordinal);
        var read = new HashSet<string>(StringComparer.Ordinal);
        foreach (var node in model.Graph.Node)
        {
            Assert.All(node.Input.Where(name => name.Length > 0), name => Assert.Contains(name, known));
            Assert.All(node.Output.Where(name => name.Length > 0), name => Assert.True(known.Add(name), $"{name} is made twice."));
            Assert.Contains(node.Domain, model.OpsetImport.Select(set => set.Domain));
            read.UnionWith(node.Input);
        }
        Assert.All(model.Graph.Output, output => Assert.Contains(output.Name, known));
        Assert.All(model.Graph.Initializer, tensor => Assert.Contains(tensor.Name, read));
        Assert.Equal(model.Graph.Node.Count, model.Graph.Node.Select(node => node.Name).Distinct(StringComparer.Ordinal).Count());
    }

    [Fact]
    public void A_tied_head_is_the_embedding_and_is_stored_once()
    {
        var config = TinyModels.Config(tied: true);
        var graph = Read(Export(config)).Graph;

        Assert.Equal(WeightNames.Embedding, graph.Node.Single(node => node.OpType == "Gemm").Input[1]);
        Assert.Single(graph.Initializer, tensor => tensor.Dims.Contains(config.VocabSize));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Weights_lie_in_the_data_file_without_overlap_each_at_a_page(bool tied)
    {
        string directory = Export(TinyModels.Config(tied: tied));
        long end = 0, size = new FileInfo(Path.Combine(directory, OnnxExporter.DataFile)).Length;
        foreach (var tensor in Read(directory).Graph.Initializer.Where(tensor => tensor.DataLocation == TensorProto.Types.DataLocation.External))
        {
            var entries = tensor.ExternalData.ToDictionary(entry => entry.Key, entry => entry.Value, StringComparer.Ordinal);
            long offset = long.Parse(entries["offset"], CultureInfo.InvariantCulture), length = long.Parse(entries["length"], CultureInfo.InvariantCulture);
            Assert.Equal(OnnxExporter.DataFile, entries["location"]);
            Assert.Equal(0, offset % 4096);
            Assert.InRange(offset, end, size);
            Assert.Equal(sizeof(float) * tensor.Dims.Aggregate(1L, (product, dimension) => product * dimension), length);
            end = offset + length;
        }
        Assert.Equal(size, end);
    }

    [Fact]
    public void Gate_and_up_are_one_matrix_and_so_are_query_key_and_value()
    {
        var config = TinyModels.Config(hiddenSize: 32, heads: 2, keyValueHeads: 1);
        string directory = Export(config);
        using var weights = SafeTensorsReader.Open(_directory.PathOf(ModelPackage.WeightsFile));

        float[] gateUp = Data(directory, "layer.0.gate_up.weight", [config.HiddenSize, 2 * config.IntermediateSize]);
        float[] qkv = Data(directory, "layer.0.qkv.weight", [config.HiddenSize, (2 + 2) * config.HeadDim]);

        // Stored weights are [out, in]; a MatMul wants [in, out].
        Assert.Equal(weights.ReadSingles(WeightNames.Gate(0))[5 * config.HiddenSize + 3], gateUp[3 * 2 * config.IntermediateSize + 5]);
        Assert.Equal(weights.ReadSingles(WeightNames.Up(0))[5 * config.HiddenSize + 3], gateUp[3 * 2 * config.IntermediateSize + config.IntermediateSize + 5]);
        Assert.Equal(weights.ReadSingles(WeightNames.Key(0))[5 * config.HiddenSize + 3], qkv[3 * 4 * config.HeadDim + 2 * config.HeadDim + 5]);
        Assert.Equal(weights.ReadSingles(WeightNames.Value(0))[5 * config.HiddenSize + 3], qkv[3 * 4 * config.HeadDim + 3 * config.HeadDim + 5]);
    }

    [Fact]
    public void The_graph_says_what_it_was_made_from()
    {
        var model = Read(Export(TinyModels.Config()));
        var properties = model.MetadataProps.ToDictionary(entry => entry.Key, entry => entry.Value, StringComparer.Ordinal);

        Assert.Equal("fp32", properties["trainserve.precision"]);
        Assert.Equal(FileHash.OfFile(_directory.PathOf(ModelPackage.WeightsFile)), properties["trainserve.weights_sha256"]);
        Assert.Equal(64, properties["trainserve.config_sha256"].Length);
        Assert.Equal((10, "TrainServe"), (model.IrVersion, model.ProducerName));
        Assert.Equal([("", 21L), ("com.microsoft", 1L)], model.OpsetImport.Select(set => (set.Domain, set.Version)));
    }

    [Fact]
    public void Weights_of_another_shape_are_refused_and_named()
    {
        RandomWeights.Write(_directory.PathOf(ModelPackage.WeightsFile), TinyModels.Config());
        using var weights = SafeTensorsReader.Open(_directory.PathOf(ModelPackage.WeightsFile));

        var error = Assert.Throws<InvalidDataException>(() => OnnxExporter.Export(TinyModels.Config(intermediateSize: 25), weights, _directory.PathOf("onnx"), ExportPrecision.Fp32));

        Assert.Contains("mlp.gate_proj", error.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_directory.PathOf("onnx")));
    }

    [Fact]
    public void A_reward_model_gives_a_score_in_place_of_logits()
    {
        var graph = Read(Export(TinyModels.RewardModel())).Graph;

        Assert.Equal(["score [R, 1]", "hidden [R, 16]"], graph.Output.Take(2).Select(Describe));
        Assert.DoesNotContain(graph.Output, output => output.Name == "logits");
    }

    [Fact]
    public void Four_bits_quantize_every_product_and_keep_the_head_at_eight()
    {
        var config = TinyModels.Config(hiddenSize: 64, intermediateSize: 96, tied: true);
        var graph = Read(Export(config, precision: ExportPrecision.Int4)).Graph;

        Assert.DoesNotContain(graph.Node, node => node.OpType is "MatMul" or "Gemm");
        var products = graph.Node.Where(node => node.OpType == "MatMulNBits").ToList();
        Assert.Equal(4 * config.NumHiddenLayers + 1, products.Count);
        Assert.All(products, node => Assert.Equal(node.Name == "head" ? 8 : 4, Attribute(node, "bits")));
        // Anything else is many times slower.
        Assert.All(products, node => Assert.Equal(4, Attribute(node, "accuracy_level")));
    }

    [Fact]
    public void Eight_bits_sum_bytes_over_whole_rows_in_every_product_but_the_head()
    {
        var config = TinyModels.Config(hiddenSize: 64, intermediateSize: 96, tied: true);
        var graph = Read(Export(config, precision: ExportPrecision.Int8)).Graph;

        Assert.DoesNotContain(graph.Node, node => node.OpType is "MatMul" or "Gemm" or "GroupQueryAttention");
        Assert.Equal(4 * config.NumHiddenLayers, graph.Node.Count(node => node.OpType == "MatMulIntegerToFloat"));
        Assert.Equal(8, Attribute(graph.Node.Single(node => node.OpType == "MatMulNBits"), "bits"));
        Assert.Equal(config.NumHiddenLayers, graph.Node.Count(node => node.OpType == "CachedAttention"));
    }

    [Theory]
    [InlineData("fp32", false)]
    [InlineData("fp16", false)]
    [InlineData("int8", true)]
    [InlineData("int4", true)]
    public void Only_graphs_of_few_bits_need_operators_of_our_own(string precision, bool expected)
    {
        var model = Read(Export(TinyModels.Config(), precision: ExportPrecision.Parse(precision)));

        Assert.Equal(expected, model.Graph.Node.Any(node => node.Domain == GraphNames.KernelDomain));
        Assert.Equal(expected, model.OpsetImport.Any(opset => opset.Domain == GraphNames.KernelDomain));
    }

    [Fact]
    public void A_tied_head_of_eight_bits_reads_the_embeddings_bytes()
    {
        var graph = Read(Export(TinyModels.Config(hiddenSize: 64, tied: true), precision: ExportPrecision.Int8)).Graph;
        var head = graph.Initializer.Single(tensor => tensor.Name == graph.Node.Single(node => node.Name == "head").Input[1]);
        var embedding = graph.Initializer.Single(tensor => tensor.Name == graph.Node.Single(node => node.OpType == "GatherBlockQuantized").Input[0]);

        Assert.Equal(embedding.ExternalData, head.ExternalData);
        Assert.Equal([32L, 64], embedding.Dims);
        Assert.Equal([32L, 1, 64], head.Dims);
    }

    [Fact]
    public void A_cache_of_eight_bits_needs_its_scales()
    {
        var config = TinyModels.Config();
        RandomWeights.Write(_directory.PathOf(ModelPackage.WeightsFile), config);
        using var weights = SafeTensorsReader.Open(_directory.PathOf(ModelPackage.WeightsFile));
        var scales = Scales(config);
        float[] wrong = [.. scales.Keys[1].Skip(1), 0];

        foreach (var bad in new[] { null, scales with { Keys = [scales.Keys[0]] }, scales with { Values = [scales.Values[0], scales.Values[1][1..]] }, scales with { Keys = [scales.Keys[0], wrong] } })
        {
            Assert.Contains("2 layers of 32 positive numbers", Assert.Throws<ArgumentException>(() => OnnxExporter.Export(config, weights, _directory.PathOf("onnx"), ExportPrecision.Int8, bad)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void An_unknown_precision_is_refused() => Assert.Throws<ArgumentException>(() => ExportPrecision.Parse("int3"));

    public void Dispose() => _directory.Dispose();

    private string Export(ModelConfig config, string name = "fp32", ExportPrecision? precision = null)
    {
        RandomWeights.Write(_directory.PathOf(ModelPackage.WeightsFile), config);
        using var weights = SafeTensorsReader.Open(_directory.PathOf(ModelPackage.WeightsFile));
        OnnxExporter.Export(config, weights, _directory.PathOf(name), precision ?? ExportPrecision.Fp32, Scales(config));
        return _directory.PathOf(name);
    }

    private static CacheScales Scales(ModelConfig config)
    {
        float[][] ofLayers = [.. Enumerable.Range(0, config.NumHiddenLayers).Select(_ => Enumerable.Repeat(0.05f, config.NumKeyValueHeads * new HeadLayout(config).Size).ToArray())];
        return new CacheScales(ofLayers, ofLayers);
    }

    private static long Attribute(NodeProto node, string name) => node.Attribute.Single(attribute => attribute.Name == name).I;

    private static ModelProto Read(string directory) => ModelProto.Parser.ParseFrom(File.ReadAllBytes(Path.Combine(directory, OnnxExporter.GraphFile)));

    private static float[] Data(string directory, string name, long[] shape)
    {
        var tensor = Read(directory).Graph.Initializer.Single(tensor => tensor.Name == name);
        Assert.Equal(shape, tensor.Dims);
        int offset = int.Parse(tensor.ExternalData.Single(entry => entry.Key == "offset").Value, CultureInfo.InvariantCulture);
        int length = int.Parse(tensor.ExternalData.Single(entry => entry.Key == "length").Value, CultureInfo.InvariantCulture);
        return MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(Path.Combine(directory, OnnxExporter.DataFile)).AsSpan(offset, length)).ToArray();
    }

    private static string Describe(ValueInfoProto value) =>
        $"{value.Name} [{string.Join(", ", value.Type.TensorType.Shape.Dim.Select(dimension => dimension.ValueCase == TensorShapeProto.Types.Dimension.ValueOneofCase.DimParam ? dimension.DimParam : dimension.DimValue.ToString(CultureInfo.InvariantCulture)))}]";
}
