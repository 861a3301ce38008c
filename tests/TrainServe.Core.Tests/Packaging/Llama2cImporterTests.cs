using System.IO.Compression;
using System.Text.Json;
using TrainServe.Core.Packaging;
using TrainServe.Core.Packaging.Import;
using TrainServe.TestSupport;

namespace TrainServe.Core.Tests.Packaging;

public sealed class Llama2cImporterTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void A_published_story_model_becomes_a_verified_package()
    {
        var package = Import();
        package.Verify();
        Assert.Equal(260_032, package.Config.ParameterCount);
        Assert.Equal((4, 8), (package.Config.NumKeyValueHeads, package.Config.HeadDim));
        using var weights = package.OpenWeights();
        Assert.Equal("import llama2c", package.Manifest!.Lineage.Stage);
        Assert.Throws<IOException>(() => Import());
    }

    [Fact]
    public void Its_tokenizer_gives_the_ids_that_the_original_program_gave()
    {
        var tokenizer = Import().LoadTokenizer();
        string golden = SharedData.File("golden/stories260K.greedy.json.gz");
        using var stream = new GZipStream(File.OpenRead(golden), CompressionMode.Decompress);
        using var cases = JsonDocument.Parse(stream);
        Assert.True(cases.RootElement.GetArrayLength() >= 4);
        foreach (var item in cases.RootElement.EnumerateArray())
        {
            string prompt = item.GetProperty("prompt").GetString()!;
            int[] expected = [.. item.GetProperty("prompt_ids").EnumerateArray().Select(id => id.GetInt32())];
            Assert.Equal(expected, (int[])[Llama2cTokenizer.BosId, .. tokenizer.Encode(prompt)]);
            Assert.Equal(prompt, tokenizer.Decode(tokenizer.Encode(prompt)));
        }
    }

    [Theory]
    [InlineData(20, "starts with 28 bytes of sizes")]
    [InlineData(100_000, "was cut short")]
    public void A_cut_checkpoint_is_refused(int bytes, string expected)
    {
        string cut = _directory.PathOf("cut.bin");
        File.WriteAllBytes(cut, File.ReadAllBytes(SharedData.File("models/stories260K/stories260K.bin"))[..bytes]);
        Assert.Contains(expected, Assert.Throws<InvalidDataException>(() => Llama2cCheckpoint.Read(cut)).Message);
    }

    [Fact]
    public void A_file_of_other_content_is_refused()
    {
        string other = _directory.WriteText("other.bin", new string('x', 1000));
        Assert.Contains("other.bin", Assert.Throws<InvalidDataException>(() => Llama2cCheckpoint.Read(other)).Message);
        Assert.Contains("other.bin", Assert.Throws<InvalidDataException>(() => Llama2cTokenizer.Read(other, 512)).Message);
        Assert.Throws<FileNotFoundException>(() => Llama2cCheckpoint.Read(_directory.PathOf("missing.bin")));
    }

    [Fact]
    public void A_vocabulary_of_another_size_is_refused() =>
        Assert.Contains("exactly the 511 tokens", Assert.Throws<InvalidDataException>(() => Llama2cTokenizer.Read(SharedData.File("models/stories260K/tok512.bin"), 511)).Message);

    [Fact]
    public void Rows_of_neighbouring_pairs_move_into_two_halves() =>
        // Two heads of size 4, width 1: row 4h+2i goes to 4h+i, row 4h+2i+1 to 4h+2+i.
        Assert.Equal((float[])[0, 2, 1, 3, 4, 6, 5, 7], Llama2cCheckpoint.HalvesFromPairs([0, 1, 2, 3, 4, 5, 6, 7], headDim: 4, width: 1));

    private ModelPackage Import() => Llama2cImporter.Import(
        SharedData.File("models/stories260K/stories260K.bin"), SharedData.File("models/stories260K/tok512.bin"), _directory.PathOf("stories260K"), TimeProvider.System);
}
