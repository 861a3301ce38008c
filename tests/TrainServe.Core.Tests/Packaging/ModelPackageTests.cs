using TrainServe.Core.Packaging;
using TrainServe.TestSupport;

namespace TrainServe.Core.Tests.Packaging;

public sealed class ModelPackageTests : IDisposable
{
    private static readonly ModelConfig _config = new()
    {
        VocabSize = 300, HiddenSize = 8, IntermediateSize = 16, NumHiddenLayers = 1, NumAttentionHeads = 2, TieWordEmbeddings = true, MaxPositionEmbeddings = 32,
    };

    private readonly string _directory = Directory.CreateTempSubdirectory("package").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void A_completed_package_verifies_and_names_its_lineage()
    {
        string path = Make("a");
        var package = ModelPackage.OpenVerified(path);
        Assert.Equal("a", package.Name);
        Assert.Equal("init", package.Manifest!.Lineage.Stage);
        Assert.Equal(4, package.Manifest.Files.Count);
        Assert.False(Directory.Exists(Path.Combine(path, ".staging")));
        using var weights = package.OpenWeights();
        Assert.Equal(300 * 8, weights.ReadSingles(WeightNames.Embedding).Length);
    }

    [Theory]
    [InlineData("config.json")]
    [InlineData("tokenizer.json")]
    [InlineData("tokenizer_config.json")]
    [InlineData("model.safetensors")]
    public void A_changed_byte_is_found_and_the_file_named(string file)
    {
        string path = Make("a");
        var bytes = File.ReadAllBytes(Path.Combine(path, file));
        bytes[^2] ^= 1;
        File.WriteAllBytes(Path.Combine(path, file), bytes);
        var error = Assert.ThrowsAny<Exception>(() => ModelPackage.OpenVerified(path));
        Assert.IsType<InvalidDataException>(error);
        Assert.Contains(file, error.Message);
    }

    [Fact]
    public void Every_changed_file_is_named_in_the_order_of_the_manifest()
    {
        string path = Make("a");
        foreach (string file in (string[])["tokenizer.json", "model.safetensors"])
        {
            byte[] bytes = File.ReadAllBytes(Path.Combine(path, file));
            bytes[^2] ^= 1;
            File.WriteAllBytes(Path.Combine(path, file), bytes);
        }
        string listed = string.Join(' ', ModelManifest.Read(Path.Combine(path, ModelManifest.FileName)).Files.Where(file => file.Path is "tokenizer.json" or "model.safetensors")
            .Select(file => $"{Path.Combine(path, file.Path)} was changed: its SHA-256 is not the one in {ModelManifest.FileName}."));
        for (int time = 0; time < 20; time++)
        {
            Assert.Equal(listed, Assert.Throws<InvalidDataException>(() => ModelPackage.OpenVerified(path)).Message);
        }
    }

    [Fact]
    public void A_missing_file_and_a_cut_file_are_named()
    {
        string path = Make("a");
        File.WriteAllText(Path.Combine(path, "tokenizer.json"), "");
        Assert.Contains("has 0 bytes", Assert.Throws<InvalidDataException>(() => ModelPackage.OpenVerified(path)).Message);
        File.Delete(Path.Combine(path, "tokenizer.json"));
        Assert.Contains("tokenizer.json is missing", Assert.Throws<InvalidDataException>(() => ModelPackage.OpenVerified(path)).Message);
    }

    [Fact]
    public void A_directory_without_manifest_opens_but_does_not_verify()
    {
        string path = Make("a");
        File.Delete(Path.Combine(path, ModelManifest.FileName));
        Assert.Null(ModelPackage.Open(path).Manifest);
        Assert.Contains("no manifest.json", Assert.Throws<InvalidDataException>(() => ModelPackage.OpenVerified(path)).Message);
    }

    [Theory]
    [InlineData("../b/config.json")]
    [InlineData("/etc/hostname")]
    [InlineData("onnx/../../x")]
    [InlineData("a\\b")]
    [InlineData("")]
    public void A_manifest_cannot_name_a_path_outside_its_directory(string path)
    {
        string directory = Make("a");
        var manifest = ModelManifest.Read(Path.Combine(directory, ModelManifest.FileName));
        (manifest with { Files = [.. manifest.Files, new ManifestFile(path, 1, new string('0', 64))] }).Write(Path.Combine(directory, ModelManifest.FileName));
        Assert.Contains("not a plain path inside its directory", Assert.Throws<InvalidDataException>(() => ModelPackage.OpenVerified(directory)).Message);
    }

    [Fact]
    public void A_symbolic_link_is_refused()
    {
        string directory = Make("a");
        string tokenizer = Path.Combine(directory, "tokenizer.json");
        File.Move(tokenizer, tokenizer + ".real");
        File.CreateSymbolicLink(tokenizer, tokenizer + ".real");
        Assert.Contains("symbolic link", Assert.Throws<InvalidDataException>(() => ModelPackage.OpenVerified(directory)).Message);
    }

    [Fact]
    public void A_model_that_is_there_is_not_overwritten()
    {
        string path = Make("a");
        Assert.Contains("already holds a model", Assert.Throws<IOException>(() => new ModelPackageWriter(path, TimeProvider.System)).Message);
        ModelPackage.OpenVerified(path);
    }

    [Fact]
    public void Weights_of_others_without_a_manifest_are_not_overwritten()
    {
        string path = Make("a");
        File.Delete(Path.Combine(path, ModelManifest.FileName));
        Assert.Contains("already holds a model", Assert.Throws<IOException>(() => new ModelPackageWriter(path, TimeProvider.System)).Message);
    }

    [Fact]
    public void An_abandoned_writer_leaves_the_old_model()
    {
        string path = Make("a");
        using (var writer = new ModelPackageWriter(path, TimeProvider.System, replace: true))
        {
            File.WriteAllText(writer.PathOf("config.json"), "half");
        }
        ModelPackage.OpenVerified(path);
    }

    [Fact]
    public void A_weight_of_another_shape_or_a_missing_or_unknown_one_is_named()
    {
        string path = Make("a");
        var package = ModelPackage.Open(path);
        var tensors = Weights(_config).ToList();
        SafeTensorsWriter.Write(package.WeightsPath, [.. tensors.Skip(1)]);
        Assert.Contains(WeightNames.Embedding, Assert.Throws<InvalidDataException>(() => package.OpenWeights()).Message);
        SafeTensorsWriter.Write(package.WeightsPath, [SafeTensor.Singles(WeightNames.Embedding, [1, 8], new float[8]), .. tensors.Skip(1)]);
        Assert.Contains("[1, 8] where config.json says [300, 8]", Assert.Throws<InvalidDataException>(() => package.OpenWeights()).Message);
        SafeTensorsWriter.Write(package.WeightsPath, [.. tensors, SafeTensor.Singles("stranger", [1], new float[1])]);
        Assert.Contains("stranger does not belong", Assert.Throws<InvalidDataException>(() => package.OpenWeights()).Message);
    }

    [Theory]
    [InlineData("\"files\": [", "\"files\": [ null,", "$.files[0] is null, where a value is needed.")]
    [InlineData("\"stage\": \"init\"", "\"stage\": null", "$.lineage.stage is null, where a value is needed.")]
    [InlineData("\"data\": []", "\"data\": null", "$.lineage.data is null, where a value is needed.")]
    [InlineData("\"path\": \"config.json\"", "\"path\": null", "$.files[0].path is null, where a value is needed.")]
    [InlineData("\"path\": \"config.json\",", "", "$.files[0] lacks 'path'.")]
    [InlineData("\"schema_version\": 1", "\"schema_version\": \"one\"", "$.schema_version has a value of another kind than is needed.")]
    public void A_manifest_with_a_null_or_a_gap_is_refused_by_file_and_field(string from, string to, string expected)
    {
        string path = Path.Combine(Make("a"), ModelManifest.FileName), text = File.ReadAllText(path);
        Assert.Contains(from, text);
        File.WriteAllText(path, text.Replace(from, to));
        string message = Assert.Throws<InvalidDataException>(() => ModelManifest.Read(path)).Message;
        Assert.StartsWith(path, message);
        Assert.EndsWith(expected, message);
    }

    [Fact]
    public void A_file_that_the_manifest_does_not_list_changes_nothing()
    {
        var package = TinyPackages.Write(Path.Combine(_directory, "tiny"));
        string config = Path.Combine(package.Directory, "tokenizer_config.json");
        var json = System.Text.Json.Nodes.JsonNode.Parse(File.ReadAllText(config))!.AsObject();
        json.Remove("chat_template");
        File.WriteAllText(config, json.ToJsonString());
        var changed = ModelPackageWriter.Describe(package.Directory, config);
        (package.Manifest! with { Files = [.. package.Manifest!.Files.Select(file => file.Path == changed.Path ? changed : file)] }).Write(package.ManifestPath);
        File.WriteAllText(Path.Combine(package.Directory, "chat_template.jinja"), "{{ 'anything' }}");
        File.WriteAllText(Path.Combine(package.Directory, "generation_config.json"), """{"temperature": 9}""");
        package = ModelPackage.OpenVerified(package.Directory);
        Assert.Equal("plain", package.LoadChatTemplate(package.LoadTokenizer()).Name);
        Assert.Same(GenerationConfig.Default, package.LoadGenerationConfig());
        // Without a manifest both are the model's.
        File.Delete(package.ManifestPath);
        package = ModelPackage.Open(package.Directory);
        Assert.Equal(9, package.LoadGenerationConfig().Temperature);
        Assert.Contains("chat_template", Assert.Throws<InvalidDataException>(() => package.LoadChatTemplate(package.LoadTokenizer())).Message);
    }

    [Fact]
    public void A_parent_that_an_older_manifest_names_by_its_manifest_is_still_read()
    {
        string path = Make("a"), manifest = Path.Combine(path, ModelManifest.FileName);
        File.WriteAllText(manifest, File.ReadAllText(manifest).Replace("\"stage\": \"init\"", "\"stage\": \"sft\", \"parent\": { \"name\": \"base\", \"manifest_sha256\": \"abc\" }"));
        Assert.Equal(("base", "abc"), (ModelManifest.Read(manifest).Lineage.Parent!.Name, ModelManifest.Read(manifest).Lineage.Parent!.Sha256));
    }

    [Fact]
    public void A_certificate_holds_only_for_the_files_it_was_made_for()
    {
        string path = Make("a");
        var package = ModelPackage.Open(path);
        Assert.Contains("has no certificate for fp32", Assert.Throws<InvalidDataException>(() => package.RequireCertificate("fp32")).Message);
        var manifest = package.Manifest! with
        {
            Files = [.. package.Manifest.Files, new ManifestFile("onnx/fp32/model.onnx", 1, "11"), new ManifestFile("onnx/fp32/model.onnx.data", 1, "22")],
        };
        string weights = manifest.File("model.safetensors")!.Sha256;
        Assert.Null(With(Good(weights)));
        Assert.Contains("made for another onnx/fp32/model.onnx.data", With(Good(weights) with { DataSha256 = "33" }));
        Assert.Contains("made for another model.safetensors", With(Good("44")));
        Assert.Contains("batched logits differ by", With(Good(weights) with { BatchedError = 2e-4 }));
        Assert.Contains("1 of 8 greedy continuations differ", With(Good(weights) with { GreedyEqual = 6, GreedyNearTies = 1 }));
        Assert.NotNull((Good(weights) with { TeacherForcedError = double.NaN }).Failure());
        Assert.Contains("nothing was compared", With(Good(weights) with { Positions = 0 }));

        string? With(ParityCertificate certificate)
        {
            (manifest with { Certificates = [certificate] }).Write(package.ManifestPath);
            return Record.Exception(() => ModelPackage.Open(path).RequireCertificate("fp32"))?.Message;
        }
    }

    private static ParityCertificate Good(string weights) => new()
    {
        Precision = "fp32", Measured = DateTimeOffset.UnixEpoch, WeightsSha256 = weights, GraphSha256 = "11", DataSha256 = "22", Tolerance = 1e-4, Positions = 100,
        TeacherForcedError = 1e-5, ChunkedError = 1e-5, TokenByTokenError = 1e-5, BatchedError = 1e-5, GreedyPrompts = 8, GreedyTokens = 64, GreedyEqual = 7,
        GreedyNearTies = 1, Runtimes = "test",
    };

    private static IEnumerable<SafeTensor> Weights(ModelConfig config) =>
        WeightNames.Expected(config).Select(weight => SafeTensor.Singles(weight.Name, weight.Shape, new float[weight.Shape.Aggregate(1L, (a, b) => a * b)]));

    private string Make(string name)
    {
        string path = Path.Combine(_directory, name);
        using var writer = new ModelPackageWriter(path, TimeProvider.System);
        _config.Write(writer.PathOf(ModelPackage.ConfigFile));
        File.WriteAllText(writer.PathOf(ModelPackage.TokenizerFile), "{}");
        File.WriteAllText(writer.PathOf(ModelPackage.TokenizerConfigFile), "{}");
        SafeTensorsWriter.Write(writer.PathOf(ModelPackage.WeightsFile), [.. Weights(_config)]);
        writer.Complete(new Lineage { Stage = "init" });
        return path;
    }
}
