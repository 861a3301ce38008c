using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Export;
using TrainServe.Inference.Scoring;
using TrainServe.Model;
using TrainServe.Model.Scoring;
using TrainServe.TestSupport;

namespace TrainServe.Publishing.Tests;

public sealed class PublisherTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public PublisherTests() => TorchRuntime.Initialize();

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData(16, 4, 2, false)] // heads of 4, narrower than the kernel takes
    [InlineData(48, 2, 2, true)] // heads of 24
    [InlineData(64, 4, 1, true)] // heads of 16, one key-value head for all
    public void An_export_is_certified_and_becomes_part_of_the_model(int width, int heads, int keyValueHeads, bool tied)
    {
        var shape = TinyModels.Config(TinyPackages.VocabSize, hiddenSize: width, heads: heads, keyValueHeads: keyValueHeads, maxPositions: 128, tied: tied);
        string model = TinyPackages.Write(_directory.PathOf("model"), shape).Directory;
        var certificate = Publish(model);
        Assert.Null(certificate.Failure());
        Assert.True(certificate.TeacherForcedError > 0, "Two runtimes never agree to the last bit; an error of 0 would mean that nothing was compared.");
        Assert.True(certificate.Positions > 500);
        Assert.Equal((8, 64), (certificate.GreedyPrompts, certificate.GreedyTokens));
        var package = ModelPackage.OpenVerified(model);
        Assert.Equal(certificate.GraphSha256, package.RequireCertificate("fp32").GraphSha256);
        Assert.Equal(["fp32"], package.Precisions);
        Assert.Equal(["fp32"], Directory.GetFileSystemEntries(Path.Combine(model, "onnx")).Select(Path.GetFileName));
    }

    [Fact]
    public void Exporting_again_replaces_the_export()
    {
        string model = TinyPackages.Write(_directory.PathOf("model")).Directory;
        Publish(model);
        int files = ModelPackage.Open(model).Manifest!.Files.Count;
        Publish(model);
        var package = ModelPackage.OpenVerified(model);
        Assert.Equal(files, package.Manifest!.Files.Count);
        Assert.Single(package.Manifest.Certificates);
    }

    [Fact]
    public void An_export_that_misses_its_proof_is_not_published_and_the_model_stays_as_it_was()
    {
        string model = TinyPackages.Write(_directory.PathOf("model")).Directory;
        Publish(model);
        BreakWeights(model);
        string before = File.ReadAllText(Path.Combine(model, ModelManifest.FileName));
        var error = Assert.Throws<InvalidDataException>(() => Publish(model));
        Assert.Contains("is not published", error.Message);
        Assert.Equal(before, File.ReadAllText(Path.Combine(model, ModelManifest.FileName)));
        Assert.Equal(["fp32"], Directory.GetFileSystemEntries(Path.Combine(model, "onnx")).Select(Path.GetFileName));
    }

    [Fact]
    public void Weights_that_were_changed_are_not_exported()
    {
        string model = TinyPackages.Write(_directory.PathOf("model")).Directory;
        string path = Path.Combine(model, ModelPackage.WeightsFile);
        var bytes = File.ReadAllBytes(path);
        bytes[^1] ^= 0x40;
        File.WriteAllBytes(path, bytes);
        Assert.Contains(ModelPackage.WeightsFile, Assert.Throws<InvalidDataException>(() => Publish(model)).Message);
        Assert.False(Directory.Exists(Path.Combine(model, "onnx")) && Directory.EnumerateFileSystemEntries(Path.Combine(model, "onnx")).Any());
    }

    [Fact]
    public void A_context_shorter_than_the_greedy_run_is_certified_over_what_fits_and_says_so()
    {
        var shape = TinyModels.Config(TinyPackages.VocabSize, maxPositions: 24);
        var certificate = Publish(TinyPackages.Write(_directory.PathOf("model"), shape).Directory);
        Assert.Null(certificate.Failure());
        // So short a context leaves room for prompts of one token, each with 23 more.
        Assert.Equal((8, 23), (certificate.GreedyPrompts, certificate.GreedyTokens));
    }

    [Fact]
    public void An_export_to_another_directory_leaves_the_model_as_it_was()
    {
        var model = TinyPackages.Write(_directory.PathOf("model"));
        var before = File.ReadAllBytes(model.ManifestPath);
        var copy = PackageCopy.Make(model.Directory, _directory.PathOf("served"), TimeProvider.System);
        Publish(copy.Directory);
        var served = ModelPackage.OpenVerified(copy.Directory);
        served.RequireCertificate("fp32");
        Assert.Equal((model.Manifest!.Created, model.Manifest.Lineage.Stage, "served"), (served.Manifest!.Created, served.Manifest.Lineage.Stage, served.Name));
        Assert.Equal(before, File.ReadAllBytes(model.ManifestPath));
        Assert.False(Directory.Exists(Path.Combine(model.Directory, "onnx")));
        // A second time the copy is there, with its export; another model is in the way.
        Assert.Single(PackageCopy.Make(model.Directory, copy.Directory, TimeProvider.System).Manifest!.Certificates);
        var other = TinyPackages.Write(_directory.PathOf("other"), seed: 2);
        Assert.Contains("already holds a model", Assert.Throws<IOException>(() => PackageCopy.Make(other.Directory, copy.Directory, TimeProvider.System)).Message);
    }

    [Fact]
    public void A_copy_with_rounded_weights_is_half_as_large_and_is_certified_against_itself()
    {
        var model = TinyPackages.Write(_directory.PathOf("model"));
        var copy = PackageCopy.Make(model.Directory, _directory.PathOf("small"), TimeProvider.System, bfloat16: true);
        Publish(copy.Directory);

        var small = ModelPackage.OpenVerified(copy.Directory);
        small.RequireCertificate("fp32");
        Assert.Equal(("bfloat16", model.Manifest!.File(ModelPackage.WeightsFile)!.Sha256), (small.Config.TorchDtype, small.Manifest!.Lineage.RoundedFrom!.Sha256));
        using SafeTensorsReader exact = model.OpenWeights(), rounded = small.OpenWeights();
        Assert.Equal(exact.Entries.Keys.Order(StringComparer.Ordinal), rounded.Entries.Keys.Order(StringComparer.Ordinal));
        foreach (string name in exact.Entries.Keys)
        {
            Assert.Equal(SafeTensorType.BF16, rounded.Entries[name].Type);
            Assert.Equal(exact.ReadSingles(name).Select(value => BFloat16Bits.Widen(BFloat16Bits.Round(value))), rounded.ReadSingles(name));
        }
        // A second time the copy is there; the unrounded model would be another one.
        Assert.Single(PackageCopy.Make(model.Directory, copy.Directory, TimeProvider.System, bfloat16: true).Manifest!.Certificates);
        Assert.Throws<IOException>(() => PackageCopy.Make(model.Directory, copy.Directory, TimeProvider.System));
        Assert.Throws<IOException>(() => PackageCopy.Make(model.Directory, model.Directory, TimeProvider.System, bfloat16: true));
    }

    [Fact]
    public void An_export_that_is_withdrawn_leaves_the_others()
    {
        string model = TinyPackages.Write(_directory.PathOf("model"), TinyModels.Config(TinyPackages.VocabSize, hiddenSize: 64, intermediateSize: 96, maxPositions: 128, tied: true)).Directory;
        Publisher.Publish(model, ExportPrecision.Int8, TimeProvider.System, Lenient);

        Publisher.Withdraw(model, ExportPrecision.Fp32);

        var package = ModelPackage.OpenVerified(model);
        package.RequireCertificate("int8");
        Assert.Equal(["int8"], package.Precisions);
        Assert.Equal(["int8"], Directory.EnumerateDirectories(Path.Combine(model, "onnx")).Select(Path.GetFileName));
    }

    [Fact]
    public void Several_precisions_lie_side_by_side_and_few_bits_state_their_cost()
    {
        string model = TinyPackages.Write(_directory.PathOf("model"), TinyModels.Config(TinyPackages.VocabSize, hiddenSize: 64, intermediateSize: 96, maxPositions: 128, tied: true)).Directory;

        var eight = Publisher.Publish(model, ExportPrecision.Int8, TimeProvider.System);
        var four = Publisher.Publish(model, ExportPrecision.Int4, TimeProvider.System, Lenient);

        // The comparison needs single precision, so that comes by itself.
        var package = ModelPackage.OpenVerified(model);
        Assert.Equal(["fp32", "int8", "int4"], package.Precisions);
        Assert.All(package.Precisions, precision => package.RequireCertificate(precision));
        Assert.Null(package.RequireCertificate("fp32").Cost);
        foreach (var certificate in new[] { eight, four })
        {
            var cost = certificate.Cost!;
            Assert.True(cost.Tokens >= 20_000);
            Assert.InRange(cost.Divergence, 1e-6, 0.2);
            Assert.InRange(cost.GreedyAgreement, 0.5, 0.9999);
            // On text from the model itself the cross entropy rises by the divergence, up to the luck of the draw.
            Assert.InRange(Math.Log(1 + cost.Increase()), -0.02, cost.Divergence + 0.02);
            Assert.Equal((8, 0), (certificate.GreedyEqual, certificate.GreedyNearTies));
        }
        Assert.True(four.Cost!.Divergence > 4 * eight.Cost!.Divergence);
        Assert.True(four.Cost.GreedyAgreement < eight.Cost.GreedyAgreement);
    }

    [Fact]
    public void Half_precision_for_gpus_is_certified_on_the_processor_and_costs_next_to_nothing()
    {
        string model = TinyPackages.Write(_directory.PathOf("model"), TinyModels.Config(TinyPackages.VocabSize, hiddenSize: 64, intermediateSize: 96, maxPositions: 128, tied: true)).Directory;

        var certificate = Publisher.Publish(model, ExportPrecision.Fp16, TimeProvider.System);

        ModelPackage.OpenVerified(model).RequireCertificate("fp16");
        Assert.InRange(certificate.Cost!.Divergence, 0, 1e-4);
        Assert.InRange(certificate.Cost.Increase(), -0.001, 0.001);
        Assert.InRange(certificate.Cost.GreedyAgreement, 0.99, 1);
        Assert.Equal(8, certificate.GreedyEqual + certificate.GreedyNearTies);
        // Not the very same numbers: it is another precision.
        Assert.InRange(certificate.TeacherForcedError, 1e-6, 0.05);
    }

    [Fact]
    public void Numbers_that_half_precision_cannot_hold_are_named()
    {
        var config = TinyModels.Config(TinyPackages.VocabSize, maxPositions: 128);
        string large = _directory.PathOf("large.safetensors");
        RandomWeights.Write(large, config, seed: 1, (name, values) => values[0] = name == WeightNames.FinalNorm ? 1e6f : values[0]);
        using var tooLarge = SafeTensorsReader.Open(large);

        string message = Assert.Throws<InvalidDataException>(() => OnnxExporter.Export(config, tooLarge, _directory.PathOf("export"), ExportPrecision.Fp16)).Message;

        Assert.StartsWith($"{WeightNames.FinalNorm} has a number that half precision cannot hold", message);
    }

    [Fact]
    public void The_cost_is_measured_on_the_text_that_is_given_and_a_short_one_is_refused()
    {
        string model = TinyPackages.Write(_directory.PathOf("model"), TinyModels.Config(TinyPackages.VocabSize, maxPositions: 128)).Directory;
        string path = _directory.PathOf("held-out.txt");
        File.WriteAllText(path, string.Concat(Enumerable.Range(0, 6000).Select(i => $"line {i}\n")));

        var certificate = Publisher.Publish(model, ExportPrecision.Int8, TimeProvider.System, Lenient with { HeldOutPath = path });

        Assert.Equal(("held-out.txt", FileHash.OfFile(path)), (certificate.Cost!.Source, certificate.Cost.SourceSha256));
        File.WriteAllText(path, "Too short.");
        Assert.Contains("20,000", Assert.Throws<InvalidDataException>(() => Publisher.Publish(model, ExportPrecision.Int8, TimeProvider.System, Lenient with { HeldOutPath = path })).Message);
        // The former export is still there.
        Assert.Equal(certificate.GraphSha256, ModelPackage.OpenVerified(model).RequireCertificate("int8").GraphSha256);
    }

    [Fact]
    public void Bits_that_cost_more_than_is_allowed_are_not_published()
    {
        string model = TinyPackages.Write(_directory.PathOf("model"), TinyModels.Config(TinyPackages.VocabSize, maxPositions: 128)).Directory;
        string path = _directory.PathOf("held-out.txt");
        File.WriteAllText(path, string.Concat(Enumerable.Range(0, 6000).Select(i => $"line {i}\n")));
        // Of two ways to round, one raises the perplexity of any given text, however little.
        var errors = new[] { ExportPrecision.Int8, ExportPrecision.Int4 }.Select(precision => Record.Exception(() => Publisher.Publish(model, precision, TimeProvider.System, new PublishingOptions { HeldOutPath = path, MaxPerplexityIncrease = 0 }))).ToList();

        Assert.All(errors.OfType<Exception>(), error => Assert.Contains("perplexity rises", Assert.IsType<InvalidDataException>(error).Message));
        Assert.Equal(["fp32", .. new[] { "int8", "int4" }.Where((_, i) => errors[i] is null)], ModelPackage.OpenVerified(model).Precisions);
        var certificate = ModelPackage.Open(model).RequireCertificate("fp32") with { Precision = "int8" };
        Assert.Contains("nobody measured", certificate.Failure());
    }

    [Fact]
    public void A_reward_models_export_gives_the_networks_scores_and_no_other_precision()
    {
        string model = TinyPackages.Write(_directory.PathOf("reward"), ScoredTransformer.ConfigOf(TinyModels.Config(TinyPackages.VocabSize, maxPositions: 128))).Directory;

        var certificate = Publish(model);

        Assert.Null(certificate.Failure());
        Assert.True(certificate.IsOrderOfScores);
        Assert.Equal((8, 8), (certificate.GreedyPrompts, certificate.GreedyEqual));
        Assert.InRange(certificate.BatchedError, 1e-9, 1e-4);
        var package = ModelPackage.OpenVerified(model);
        int[][] rows = [.. Enumerable.Range(1, 20).Select(length => Enumerable.Range(0, 6 * length).Select(i => i * length % 250).ToArray())];
        using var torch = new TorchRewardScorer(package);
        using var onnx = new OnnxRewardScorer(package, "fp32");
        Assert.All(torch.Score(rows).Zip(onnx.Score(rows)), pair => Assert.Equal(pair.First, pair.Second, 1e-4));
        Assert.True(onnx.Score(rows).Distinct().Count() > 15);
        Assert.Contains("fp32 only", Assert.Throws<InvalidDataException>(() => Publisher.Publish(model, ExportPrecision.Int8, TimeProvider.System)).Message);
    }

    private static readonly PublishingOptions Lenient = new() { MaxPerplexityIncrease = 1 };

    private static ParityCertificate Publish(string model) => Publisher.Publish(model, ExportPrecision.Fp32, TimeProvider.System);

    // A weight that is not a number, under hashes that hold: what a run that diverged would leave.
    private static void BreakWeights(string model)
    {
        var package = ModelPackage.Open(model);
        float[] norm = new float[package.Config.HiddenSize];
        norm[0] = float.NaN;
        List<SafeTensor> tensors;
        using (var weights = package.OpenWeights())
        {
            tensors = [.. WeightNames.Expected(package.Config).Select(weight => SafeTensor.Singles(weight.Name, weight.Shape, weight.Name == WeightNames.FinalNorm ? norm : weights.ReadSingles(weight.Name)))];
        }
        SafeTensorsWriter.Write(package.WeightsPath, tensors);
        var changed = ModelPackageWriter.Describe(model, package.WeightsPath);
        (package.Manifest! with { Files = [.. package.Manifest.Files.Select(file => file.Path == changed.Path ? changed : file)] }).Write(package.ManifestPath);
    }
}
