namespace TrainServe.Server.Lifecycle;

/// <summary>The end of the server's life: not ready first, then no new work, then a deadline for what is in flight.</summary>
/// <remarks>The host calls it in this order on SIGTERM, SIGINT, or a stop from code; connections close when their answer is done.</remarks>
internal sealed partial class DrainState(ServerOptions options, IHostApplicationLifetime lifetime, TimeProvider time, ILogger<DrainState> log)
    : IHostedLifecycleService, IDisposable
{
    private readonly CancellationTokenSource _deadline = new();
    private volatile bool _stopping, _refusing;

    /// <summary>The server was told to stop: by a signal, or by code that goes straight to the host.</summary>
    public bool IsDraining => _stopping || lifetime.ApplicationStopping.IsCancellationRequested;

    /// <summary>Answers still in flight when this is cancelled end with an error.</summary>
    public CancellationToken Deadline => _deadline.Token;

    /// <exception cref="ServerUnavailableException">No new work is taken.</exception>
    public void ThrowIfDraining()
    {
        if (_refusing)
        {
            throw new ServerUnavailableException("The server is shutting down. Please try again.", TimeSpan.FromSeconds(5));
        }
    }

    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        _stopping = true;
        LogDraining(options.DrainDelay.TotalSeconds, options.DrainTimeout.TotalSeconds);
        await Task.Delay(options.DrainDelay, time, cancellationToken);
        _refusing = true;
        _deadline.CancelAfter(options.DrainTimeout);
    }

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    public void Dispose() => _deadline.Dispose();

    [LoggerMessage(Level = LogLevel.Information, Message = "Stopping: not ready from now on, no new requests in {DelaySeconds} s, answers in flight have {TimeoutSeconds} s.")]
    private partial void LogDraining(double delaySeconds, double timeoutSeconds);
}
