namespace TrainServe.Server.Catalogue;

/// <summary>A request's hold on the version of a model that it began with.</summary>
internal sealed class ModelLease(ServedModel model, Action giveBack) : IDisposable
{
    private Action? _giveBack = giveBack;

    public ServedModel Model { get; } = model;

    public void Dispose() => Interlocked.Exchange(ref _giveBack, null)?.Invoke();
}
