using System.Net;
using System.Runtime.Versioning;
using System.Text;
using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests.Containers;

/// <summary>The pod of the Kubernetes manifest, run by podman as it stands but for the image's and the volume's name.</summary>
[Trait("Category", "Slow"), Collection(ContainerEngine.Collection), SupportedOSPlatform("linux")]
public sealed class KubernetesPodTests : IAsyncDisposable
{
    private const string Image = "localhost/trainserve-server:test";
    private readonly TemporaryDirectory _directory = new();
    private readonly string _name = $"trainserve-test-{Guid.NewGuid():N}";
    private bool _started;

    public async ValueTask DisposeAsync()
    {
        if (_started)
        {
            await ContainerEngine.TryAsync("kube", "down", _directory.PathOf("server.yaml"));
            await ContainerEngine.TryAsync("volume", "rm", "--force", _name);
        }
        _directory.Dispose();
    }

    [Fact]
    public async Task The_pod_serves_the_models_of_its_volume()
    {
        await ContainerEngine.RequireAsync();
        await ContainerEngine.BuildAsync("server", Image);
        _started = true;
        await ContainerEngine.RunAsync("volume", "create", _name);
        string volume = await ContainerEngine.RunAsync("volume", "inspect", "--format", "{{.Mountpoint}}", _name);
        ModelDirectory.Tiny(Path.Combine(volume, "tiny"));
        foreach (string directory in Directory.EnumerateDirectories(volume, "*", SearchOption.AllDirectories).Append(volume))
        {
            File.SetUnixFileMode(directory, (UnixFileMode)Convert.ToInt32("755", 8));
        }
        string manifest = await File.ReadAllTextAsync(RepositoryRoot.PathOf("deploy/kubernetes/base/server.yaml"));
        string played = Replace(Replace(Replace(manifest, "image: trainserve-server", $"image: {Image}"), "claimName: models", $"claimName: {_name}"), "replicas: 2", "replicas: 1")
            .Replace("name: trainserve\n", $"name: {_name}\n", StringComparison.Ordinal);
        string file = _directory.WriteText("server.yaml", played);
        await ContainerEngine.RunAsync("kube", "play", file);

        string address = await ContainerEngine.RunAsync("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", $"{_name}-pod-0-server");
        if (address.Length == 0)
        {
            string pod = await ContainerEngine.RunAsync("pod", "inspect", "--format", "{{.InfraContainerID}}", $"{_name}-pod-0");
            address = await ContainerEngine.RunAsync("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", pod);
        }
        using var client = new HttpClient { BaseAddress = new Uri($"http://{address}:8080") };
        await WaitUntilReadyAsync(client);
        using var response = await client.PostAsync("/v1/chat/completions",
            new StringContent("""{"model":"tiny","messages":[{"role":"user","content":"hello"}],"max_tokens":5,"ignore_eos":true}""", Encoding.UTF8, "application/json"));
        Assert.True(response.IsSuccessStatusCode, await response.Content.ReadAsStringAsync());
    }

    private static async Task WaitUntilReadyAsync(HttpClient client)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (true)
        {
            try
            {
                using var response = await client.GetAsync("/health/ready", limit.Token);
                if (response.StatusCode == HttpStatusCode.OK)
                {
                    return;
                }
            }
            catch (HttpRequestException)
            {
                // It does not listen yet.
            }
            await Task.Delay(50, limit.Token);
        }
    }

    private static string Replace(string text, string old, string replacement)
    {
        Assert.Contains(old, text, StringComparison.Ordinal);
        return text.Replace(old, replacement, StringComparison.Ordinal);
    }
}
