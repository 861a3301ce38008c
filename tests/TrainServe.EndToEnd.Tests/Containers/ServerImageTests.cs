using System.Diagnostics;
using System.Globalization;
using System.Runtime.Versioning;
using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests.Containers;

[Trait("Category", "Slow"), Collection(ContainerEngine.Collection), SupportedOSPlatform("linux")]
public sealed class ServerImageTests : IAsyncLifetime
{
    private const string Image = "localhost/trainserve-server:test";
    private const long Megabyte = 1_000_000;
    private readonly TemporaryDirectory _models = new();

    public async ValueTask InitializeAsync()
    {
        await ContainerEngine.RequireAsync();
        await ContainerEngine.BuildAsync("server", Image);
        ModelDirectory.Tiny(_models.PathOf("tiny"));
        // The server in the container is nobody in particular.
        File.SetUnixFileMode(_models.FullName, (UnixFileMode)Convert.ToInt32("755", 8));
    }

    public ValueTask DisposeAsync()
    {
        _models.Dispose();
        return ValueTask.CompletedTask;
    }

    [Fact]
    public async Task The_image_adds_at_most_150_MB_to_its_base_and_no_Torch()
    {
        long added = await ContainerEngine.SizeAsync(Image) - await ContainerEngine.SizeAsync(ContainerEngine.BaseRuntime);
        TestContext.Current.TestOutputHelper!.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{added / Megabyte} MB above the base image"));
        Assert.InRange(added, Megabyte, 150 * Megabyte);
        string files = await ContainerEngine.RunAsync("run", "--rm", "--network", "none", "--entrypoint", "ls", Image, "/app");
        Assert.Contains("TrainServe.Server.dll", files, StringComparison.Ordinal);
        Assert.DoesNotContain("torch", files, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task A_container_that_can_write_nothing_serves_mounted_models_and_finishes_20_open_streams_when_it_is_stopped()
    {
        const int streams = 20;
        var watch = Stopwatch.StartNew();
        await using var container = await RunningContainer.StartAsync(Image, _models.FullName);
        await container.WaitUntilReadyAsync();
        long resident = await container.ResidentBytesAsync();
        TestContext.Current.TestOutputHelper!.WriteLine(string.Create(CultureInfo.InvariantCulture, $"ready {watch.Elapsed.TotalSeconds:F2} s after podman run, {resident / Megabyte} MB resident"));
        Assert.InRange(resident, Megabyte, 200 * Megabyte);
        Assert.Equal(0, await container.HealthAsync());

        var answers = Enumerable.Range(0, streams).Select(async _ =>
        {
            using var stream = await container.PostAsync("""{"model":"tiny","messages":[{"role":"user","content":"hello"}],"seed":1,"ignore_eos":true,"stream":true,"max_tokens":1000}""");
            Assert.True(stream.IsSuccessStatusCode);
            return ServerSentEvents.Parse(await stream.Content.ReadAsStringAsync());
        }).ToArray();
        await Eventually.AssertAsync(async () => await container.OpenRequestsAsync() == streams);
        var stopping = container.StopAsync();
        foreach (var events in await Task.WhenAll(answers))
        {
            Assert.True(events.Done);
            Assert.Equal("length", events.FinishReason());
        }
        Assert.Equal(0, await stopping);
        Assert.DoesNotContain("telemetry", await container.LogsAsync(), StringComparison.OrdinalIgnoreCase);
        Assert.NotEqual(0, await container.HealthAsync());
    }

    [Fact]
    public async Task A_change_of_the_code_does_not_restore_packages_again()
    {
        using var source = new TemporaryDirectory();
        foreach (string file in Directory.EnumerateFiles(RepositoryRoot.Directory).Concat(Directory.EnumerateFiles(RepositoryRoot.PathOf("src"), "*", SearchOption.AllDirectories)))
        {
            string copy = source.PathOf(Path.GetRelativePath(RepositoryRoot.Directory, file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(file, copy);
        }
        await File.AppendAllTextAsync(source.PathOf("src/TrainServe.Server/Program.cs"), $"// {Guid.NewGuid()}\n");
        const string restore = "RUN dotnet restore src/TrainServe.Server -p:Accelerator=${ACCELERATOR}\n";
        string dockerfile = await File.ReadAllTextAsync(RepositoryRoot.PathOf("Dockerfile"));
        int end = dockerfile.IndexOf(restore, StringComparison.Ordinal) + restore.Length;
        Assert.True(end > restore.Length);
        await File.WriteAllTextAsync(source.PathOf("Dockerfile"), dockerfile[..end]);
        string log = await ContainerEngine.BuildAsync("build-server", "localhost/trainserve-restored:test", source.FullName);
        Assert.Matches("RUN dotnet restore[^\n]*\n--> Using cache", log);
    }
}
