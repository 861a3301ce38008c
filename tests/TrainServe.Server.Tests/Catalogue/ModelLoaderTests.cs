using TrainServe.Core.Packaging;
using TrainServe.Server.Catalogue;
using TrainServe.TestSupport;

namespace TrainServe.Server.Tests.Catalogue;

public sealed class ModelLoaderTests
{
    [Theory]
    [InlineData("""{"temperature":2.5}""", "generation_config.json: temperature is 2.5; it must be from 0 to 2.")]
    [InlineData("""{"temperature":-1}""", "generation_config.json: temperature is -1; it must be from 0 to 2.")]
    [InlineData("""{"top_p":1.5}""", "generation_config.json: top_p is 1.5; it must be from 0 to 1.")]
    [InlineData("""{"top_k":-3}""", "generation_config.json: top_k is -3; it must be from 0 to 2147483647.")]
    [InlineData("""{"eos_token_id":[0,70000]}""", "generation_config.json: eos_token_id is 70000; tokens are from 0 to ")]
    public void Defaults_that_no_request_could_ask_for_are_refused_when_the_model_is_loaded(string config, string message)
    {
        using var directory = new TemporaryDirectory();
        var package = WithDefaults(directory.PathOf("tiny"), config);
        Assert.Contains(message, Assert.Throws<InvalidDataException>(() => ModelLoader.ReadDefaults(package, out _)).Message);
    }

    [Fact]
    public void Defaults_are_read()
    {
        using var directory = new TemporaryDirectory();
        var package = WithDefaults(directory.PathOf("tiny"), """{"temperature":0.5,"top_p":0.25,"top_k":7,"eos_token_id":3}""");
        Assert.Equal([3], ModelLoader.ReadDefaults(package, out var sampling).EosTokenId);
        Assert.Equal((0.5f, 0.25f, 7), (sampling.Temperature, sampling.TopP, sampling.TopK));
    }

    private static ModelPackage WithDefaults(string directory, string config)
    {
        var package = TinyPackages.Write(directory);
        string path = Path.Combine(package.Directory, ModelPackage.GenerationConfigFile);
        File.WriteAllText(path, config);
        (package.Manifest! with { Files = [.. package.Manifest!.Files, ModelPackageWriter.Describe(package.Directory, path)] }).Write(package.ManifestPath);
        return ModelPackage.OpenVerified(directory);
    }
}
