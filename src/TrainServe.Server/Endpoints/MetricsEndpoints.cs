using TrainServe.Server.Telemetry;

namespace TrainServe.Server.Endpoints;

/// <summary><c>/metrics</c>, for Prometheus. Where there are keys it needs one, as every route does.</summary>
internal static class MetricsEndpoints
{
    public static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("/metrics", (ServingMetrics metrics) => TypedResults.Content(metrics.Text(), "text/plain; version=0.0.4; charset=utf-8"))
            .WithName("metrics").WithSummary("Counts and times in Prometheus's text form, under vLLM's names.").WithTags("Health")
            .Produces<string>(contentType: "text/plain");
}
