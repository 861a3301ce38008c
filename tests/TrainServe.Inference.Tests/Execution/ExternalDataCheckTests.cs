using System.Text;
using TrainServe.Inference.Execution;
using TrainServe.TestSupport;

namespace TrainServe.Inference.Tests.Execution;

/// <summary>Graphs that name files which are not theirs, made of bytes by hand.</summary>
public sealed class ExternalDataCheckTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    // Ways from a model to a tensor: the field numbers of onnx.proto.
    public static TheoryData<int[]> PlacesOfTensors => new()
    {
        new[] { 7, 5 }, // initializer
        new[] { 7, 15, 1 }, // values of a sparse initializer
        new[] { 7, 15, 2 }, // its indices
        new[] { 7, 1, 5, 5 }, // attribute of a node
        new[] { 7, 1, 5, 10 }, // list attribute
        new[] { 7, 1, 5, 22, 1 }, // sparse attribute
        new[] { 7, 1, 5, 6, 5 }, // initializer of a subgraph
        new[] { 7, 1, 5, 11, 1, 5, 5 }, // attribute of a node of a subgraph in a list
        new[] { 25, 7, 5, 5 }, // attribute of a node of a function
        new[] { 25, 11, 5 }, // default attribute of a function
        new[] { 20, 1, 5 }, // initialization graph of training
        new[] { 20, 2, 5 }, // algorithm graph of training
    };

    [Theory]
    [MemberData(nameof(PlacesOfTensors))]
    public void A_file_outside_the_directory_is_found_wherever_a_tensor_may_lie(int[] place)
    {
        var error = Assert.Throws<InvalidDataException>(() => ExternalDataCheck.Verify(Graph(place, "../secret")));

        Assert.Contains("../secret", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/etc/passwd")]
    [InlineData("a/../../b")]
    [InlineData("./weights")]
    [InlineData("..")]
    [InlineData("C:\\weights")]
    [InlineData("a\\b")]
    public void Only_plain_paths_are_taken(string location) => Assert.Throws<InvalidDataException>(() => ExternalDataCheck.Verify(Graph([7, 5], location)));

    [Fact]
    public void A_file_of_its_own_beside_the_graph_is_taken()
    {
        _directory.WriteText("weights.bin", "weights");

        ExternalDataCheck.Verify(Graph([7, 5], "weights.bin"));
    }

    [Fact]
    public void A_missing_file_is_named()
    {
        var error = Assert.Throws<FileNotFoundException>(() => ExternalDataCheck.Verify(Graph([7, 5], "weights.bin")));

        Assert.Contains("weights.bin", error.Message, StringComparison.Ordinal);
        Assert.Throws<FileNotFoundException>(() => ExternalDataCheck.Verify(_directory.PathOf("none.onnx")));
    }

    [Fact]
    public void Links_are_refused()
    {
        using var elsewhere = new TemporaryDirectory();
        string secret = elsewhere.WriteText("secret", "secret");
        File.CreateSymbolicLink(_directory.PathOf("soft.bin"), secret);
        Directory.CreateSymbolicLink(_directory.PathOf("folder"), elsewhere.FullName);

        Assert.Contains("symbolic link", Assert.Throws<InvalidDataException>(() => ExternalDataCheck.Verify(Graph([7, 5], "soft.bin"))).Message, StringComparison.Ordinal);
        Assert.Contains("symbolic link", Assert.Throws<InvalidDataException>(() => ExternalDataCheck.Verify(Graph([7, 5], "folder/secret"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_with_a_second_name_is_refused()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Hard links are counted on Linux only.");
        _directory.WriteText("first.bin", "weights");
        using var link = System.Diagnostics.Process.Start("ln", [_directory.PathOf("first.bin"), _directory.PathOf("second.bin")]);
        link.WaitForExit();
        Assert.Equal(0, link.ExitCode);

        Assert.Contains("hard link", Assert.Throws<InvalidDataException>(() => ExternalDataCheck.Verify(Graph([7, 5], "second.bin"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Bytes_that_are_no_graph_are_refused()
    {
        File.WriteAllBytes(_directory.PathOf("model.onnx"), [0x3A, 0xFF, 0xFF, 0xFF, 0x7F, 1, 2, 3]);

        Assert.Contains("no ONNX graph", Assert.Throws<InvalidDataException>(() => ExternalDataCheck.Verify(_directory.PathOf("model.onnx"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Subgraphs_nested_without_end_are_refused()
    {
        int[] deep = [7, .. Enumerable.Repeat((int[])[1, 5, 6], 60).SelectMany(step => step), 5];

        Assert.Contains("nested", Assert.Throws<InvalidDataException>(() => ExternalDataCheck.Verify(Graph(deep, "weights.bin"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_runner_checks_before_anything_is_opened()
    {
        using var model = new ExportedModel(TinyModels.Config());
        File.Move(model.GraphPath + ".data", _directory.PathOf("elsewhere"));
        File.CreateSymbolicLink(model.GraphPath + ".data", _directory.PathOf("elsewhere"));

        Assert.Contains("symbolic link", Assert.Throws<InvalidDataException>(() => model.OpenRunner()).Message, StringComparison.Ordinal);
    }

    public void Dispose() => _directory.Dispose();

    private string Graph(int[] place, string location)
    {
        byte[] message = Message(13, [.. Message(1, "location"u8), .. Message(2, Encoding.UTF8.GetBytes(location))]);
        foreach (int field in place.Reverse())
        {
            message = Message(field, message);
        }
        string path = _directory.PathOf("model.onnx");
        // A number before it, which is to be skipped: ir_version 10.
        File.WriteAllBytes(path, [8, 10, .. message]);
        return path;
    }

    private static byte[] Message(int field, ReadOnlySpan<byte> content) => [.. Varint((field << 3) | 2), .. Varint(content.Length), .. content];

    private static IEnumerable<byte> Varint(int value)
    {
        for (; value >= 0x80; value >>= 7)
        {
            yield return (byte)(value | 0x80);
        }
        yield return (byte)value;
    }
}
