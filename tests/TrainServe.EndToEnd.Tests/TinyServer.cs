using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests;

/// <summary>One server with the model <c>tiny</c> for all tests of a class.</summary>
public sealed class TinyServer : IAsyncLifetime
{
    private readonly TemporaryDirectory _models = new();

    internal ServerProcess Server { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        ModelDirectory.Tiny(_models.PathOf("tiny"));
        Server = await ServerProcess.StartAsync(_models.FullName, "--threads", "1");
    }

    public async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync();
        _models.Dispose();
    }
}
