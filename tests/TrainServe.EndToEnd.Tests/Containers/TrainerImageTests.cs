using System.Runtime.Versioning;
using TrainServe.Core.Packaging;
using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests.Containers;

[Trait("Category", "Slow"), Collection(ContainerEngine.Collection), SupportedOSPlatform("linux")]
public sealed class TrainerImageTests : IDisposable
{
    private const string Image = "localhost/trainserve-trainer:test";
    private readonly TemporaryDirectory _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task The_trainers_image_trains_exports_and_certifies_a_model_into_a_mounted_directory()
    {
        await ContainerEngine.RequireAsync();
        await ContainerEngine.BuildAsync("trainer", Image);
        _host.WriteText("data/text.txt", string.Join("\n<|endoftext|>\n", Enumerable.Range(0, 400).Select(i => $"Number {i} is followed by {i + 1}, and {i + 1} by {i + 2}. So it goes on and on.")));
        // Nobody in particular runs in the container, and writes here.
        foreach (string directory in new[] { _host.FullName, _host.PathOf("data") })
        {
            File.SetUnixFileMode(directory, (UnixFileMode)Convert.ToInt32("777", 8));
        }

        await TrainServeAsync("pretrain", "--recipe", "models/recipes/smoke.yaml", "--data", "/host/data", "--output", "/host/model", "--set", "training.steps=20");
        await TrainServeAsync("export", "--model", "/host/model");
        var package = ModelPackage.OpenVerified(_host.PathOf("model"));
        Assert.Equal("pretrain", package.Manifest!.Lineage.Stage);
        Assert.Equal("fp32", Assert.Single(package.Manifest.Certificates).Precision);
    }

    private Task TrainServeAsync(params string[] args) => ContainerEngine.RunAsync(
        ["run", "--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "all", "--volume", $"{_host.FullName}:/host", Image, .. args]);
}
