using System.Runtime.Versioning;
using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests.Containers;

/// <summary>The image for several nodes, used as the MPI operator uses it: a launcher, two workers with sshd, one key for all of them.</summary>
[Trait("Category", "Slow"), Collection(ContainerEngine.Collection), SupportedOSPlatform("linux")]
public sealed class TrainerMpiImageTests : IAsyncDisposable
{
    private const string Image = "localhost/trainserve-trainer-mpi:test";
    private readonly TemporaryDirectory _host = new();
    private readonly string _name = $"trainserve-mpi-{Guid.NewGuid():N}";
    private readonly List<string> _workers = [];
    private bool _network;

    public async ValueTask DisposeAsync()
    {
        foreach (string worker in _workers)
        {
            await ContainerEngine.TryAsync("rm", "--force", "--time", "0", worker);
        }
        if (_network)
        {
            await ContainerEngine.TryAsync("network", "rm", "--force", _name);
        }
        _host.Dispose();
    }

    [Fact]
    public async Task A_launcher_starts_the_workers_over_ssh_and_they_train_one_model()
    {
        await ContainerEngine.RequireAsync();
        await ContainerEngine.BuildAsync("trainer-mpi", Image);
        _host.WriteText("data/text.txt", string.Join("\n<|endoftext|>\n", Enumerable.Range(0, 200).Select(i => $"Number {i} is followed by {i + 1}, and {i + 1} by {i + 2}. So it goes on and on.")));
        _host.WriteText("mpi/hostfile", "worker-0 slots=1\nworker-1 slots=1\n");
        Directory.CreateDirectory(_host.PathOf("ssh"));
        // The operator's secret: all of a job have one key, mounted to be read.
        await ContainerEngine.RunAsync("run", "--rm", "--network", "none", "--user", "0", "--volume", $"{_host.PathOf("ssh")}:/keys", Image,
            "sh", "-c", "ssh-keygen -q -t ecdsa -b 521 -N '' -f /keys/id_rsa && cp /keys/id_rsa.pub /keys/authorized_keys && chmod 644 /keys/*");
        foreach (string directory in new[] { _host.FullName, _host.PathOf("data"), _host.PathOf("ssh"), _host.PathOf("mpi") })
        {
            File.SetUnixFileMode(directory, (UnixFileMode)Convert.ToInt32("777", 8));
        }

        _network = true;
        await ContainerEngine.RunAsync("network", "create", _name);
        string[] gateway = (await ContainerEngine.RunAsync("network", "inspect", "--format", "{{(index .Subnets 0).Gateway}}", _name)).Split('.');
        string Address(int host) => string.Join('.', [.. gateway[..3], $"{10 + host}"]);
        string[] Pod(string name, int host) =>
        [
            "--hostname", name, "--network", $"{_name}:ip={Address(host)}", "--add-host", $"worker-0:{Address(0)}", "--add-host", $"worker-1:{Address(1)}", "--read-only", "--tmpfs", "/tmp",
            "--cap-drop", "all", "--security-opt", "no-new-privileges", "--volume", $"{_host.PathOf("ssh")}:/home/app/.ssh:ro", "--volume", $"{_host.FullName}:/host",
        ];
        for (int i = 0; i < 2; i++)
        {
            _workers.Add(await ContainerEngine.RunAsync(["run", "--detach", .. Pod($"worker-{i}", i), Image]));
        }
        string output = await ContainerEngine.RunAsync(["run", "--rm", .. Pod("launcher", 2), "--env", "OMPI_MCA_orte_default_hostfile=/host/mpi/hostfile", Image,
            "mpirun", "-np", "2", "--map-by", "node", "--bind-to", "none", "dotnet", "/app/trainserve.dll", "pretrain", "--recipe", "models/recipes/smoke.yaml",
            "--data", "/host/data", "--output", "/host/model", "--threads", "1", "--set", "training.steps=10", "--resume-if-any"]);
        Assert.Contains("processes: 2, 8 rows of a step each", output, StringComparison.Ordinal);
        Assert.Contains("Done: 10 steps", output, StringComparison.Ordinal);
        Assert.True(File.Exists(_host.PathOf("model/model.safetensors")));
    }
}
