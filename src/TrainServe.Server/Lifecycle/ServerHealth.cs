using TrainServe.Server.Catalogue;
using TrainServe.Server.Contracts;

namespace TrainServe.Server.Lifecycle;

/// <summary>What the health routes say.</summary>
internal sealed class ServerHealth(ModelCatalogue catalogue, DrainState drain, ServerOptions options)
{
    public (bool Good, HealthReport Report) Readiness()
    {
        string status = drain.IsDraining ? "draining"
            : !catalogue.IsLoaded ? "loading"
            : catalogue.IsEmpty ? "no_models"
            : catalogue.Models.All(model => model.Engine.Status.IsHealthy) ? "ready" : "faulted";
        return (status == "ready", new HealthReport(status, Models()));
    }

    public (bool Good, HealthReport Report) Liveness()
    {
        bool stalled = catalogue.Models.Any(model => model.Engine.Status.IsStalled(options.StallTimeout));
        return (!stalled, new HealthReport(stalled ? "stalled" : "live", Models()));
    }

    private IReadOnlyList<ModelHealth> Models() => [.. catalogue.Models.Select(model =>
    {
        var status = model.Engine.Status;
        return new ModelHealth(model.Id, model.Precision, status.Slots, status.Running, status.Waiting);
    })];
}
