using TrainServe.Core.Packaging;
using TrainServe.Export;
using TrainServe.Inference.Execution;
using TrainServe.TestSupport;

namespace TrainServe.Inference.Tests.Execution;

public sealed class ExecutionChoiceTests
{
    private static readonly InferenceDevice Gpu = new(1);

    [Theory]
    [InlineData("auto", true)]
    [InlineData("auto", false)]
    [InlineData("fp16", true)]
    [InlineData("fp16", false)]
    public void A_gpu_runs_half_precision(string precision, bool isNamed)
    {
        using var model = Model("fp32", "int8", "fp16");

        Assert.Equal(new ExecutionChoice("fp16", Gpu), ExecutionChoice.Of(model.Package, precision, Gpu, isNamed, withoutGpu: null));
    }

    [Fact]
    public void Without_an_export_for_it_a_gpu_is_left_alone_and_the_note_says_how_to_make_one()
    {
        using var model = Model("fp32", "int8");

        var choice = ExecutionChoice.Of(model.Package, "auto", Gpu, isNamed: false, withoutGpu: null);

        Assert.Equal(("int8", InferenceDevice.Cpu), (choice.Precision, choice.Device));
        Assert.Contains("trainserve export --model", choice.Note);
    }

    [Fact]
    public void A_precision_that_was_asked_for_keeps_the_processor()
    {
        using var model = Model("fp32", "int8", "fp16");

        var choice = ExecutionChoice.Of(model.Package, "int8", Gpu, isNamed: false, withoutGpu: null);

        Assert.Equal(("int8", InferenceDevice.Cpu), (choice.Precision, choice.Device));
        Assert.Equal("int8 was asked for, and a GPU computes in fp16", choice.Note);
    }

    [Theory]
    [InlineData("auto", "make that export with: trainserve export")]
    [InlineData("fp16", "make that export with: trainserve export")]
    [InlineData("int8", "choose that precision, or the device cpu")]
    public void A_device_that_was_named_is_not_replaced(string precision, string cure)
    {
        using var model = Model("fp32", "int8");

        string message = Assert.Throws<InvalidDataException>(() => ExecutionChoice.Of(model.Package, precision, Gpu, isNamed: true, withoutGpu: null)).Message;

        Assert.Contains("cannot run on cuda:1", message);
        Assert.Contains(cure, message);
    }

    [Fact]
    public void The_processor_never_takes_half_precision_by_itself_and_says_why_it_is_not_a_gpu()
    {
        using var model = Model("fp32", "fp16");

        Assert.Equal(new ExecutionChoice("fp32", InferenceDevice.Cpu, "no driver"), ExecutionChoice.Of(model.Package, "auto", InferenceDevice.Cpu, isNamed: false, "no driver"));
        Assert.Equal("fp16", ExecutionChoice.Of(model.Package, "fp16", InferenceDevice.Cpu, isNamed: true, withoutGpu: null).Precision);
    }

    [Fact]
    public void Where_this_build_or_machine_has_no_gpu_auto_is_the_processor_and_cuda_says_what_is_missing()
    {
        InferenceDevice found;
        try
        {
            found = InferenceDevice.Open("cuda", out _);
        }
        catch (InvalidDataException error)
        {
            Assert.Matches("^Device cuda: (this build computes on the processor; build it with -p:Accelerator=cuda|NVIDIA's driver|no NVIDIA GPU|ONNX Runtime cannot use it).*, or choose auto or cpu\\.$", error.Message);
            Assert.Equal(InferenceDevice.Cpu, InferenceDevice.Open("auto", out _));
            return;
        }
        Assert.Equal((found, "cuda:0"), (InferenceDevice.Open("auto", out _), found.ToString()));
        Assert.Contains("the last of the GPUs", Assert.Throws<InvalidDataException>(() => InferenceDevice.Open("cuda:999", out _)).Message);
    }

    [Theory]
    [InlineData("gpu")]
    [InlineData("cuda:")]
    [InlineData("cuda:-1")]
    [InlineData("cuda:1:2")]
    [InlineData("")]
    public void Other_names_are_refused(string name) =>
        Assert.Contains("must be auto, cpu, cuda or cuda:N", Assert.Throws<ArgumentException>(() => InferenceDevice.Open(name, out _)).Message);

    private static PublishedModel Model(params string[] precisions) => new(precisions);

    /// <summary>A model whose manifest says that it has these exports.</summary>
    private sealed class PublishedModel : IDisposable
    {
        private readonly TemporaryDirectory _directory = new();

        public PublishedModel(string[] precisions)
        {
            string directory = TinyPackages.Write(_directory.PathOf("model"), TinyModels.Config(TinyPackages.VocabSize, maxPositions: 32)).Directory;
            var manifest = ModelPackage.Open(directory).Manifest!;
            var certificates = precisions.Select(precision => new ParityCertificate
            {
                Precision = ExportPrecision.Parse(precision).Name, Measured = DateTimeOffset.UnixEpoch, WeightsSha256 = "", GraphSha256 = "", DataSha256 = "", Tolerance = 0, Positions = 0,
                TeacherForcedError = 0, ChunkedError = 0, TokenByTokenError = 0, BatchedError = 0, GreedyPrompts = 0, GreedyTokens = 0, GreedyEqual = 0, GreedyNearTies = 0, Runtimes = "",
            });
            (manifest with { Certificates = [.. certificates] }).Write(Path.Combine(directory, ModelManifest.FileName));
            Package = ModelPackage.Open(directory);
        }

        public ModelPackage Package { get; }

        public void Dispose() => _directory.Dispose();
    }
}
