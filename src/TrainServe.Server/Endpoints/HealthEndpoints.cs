using TrainServe.Server.Contracts;
using TrainServe.Server.Lifecycle;
using TrainServe.Server.Security;

namespace TrainServe.Server.Endpoints;

/// <summary><c>/health/live</c> and <c>/health/ready</c>, for whoever starts, watches and routes to this process.</summary>
internal static class HealthEndpoints
{
    private static readonly string[] Methods = [HttpMethods.Get, HttpMethods.Head];

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapMethods("/health/live", Methods, (ServerHealth health) => Report(health.Liveness()))
            .WithName("live").WithSummary("Fails when there is work and none of it moves.").WithTags("Health")
            .Open().Produces<HealthReport>().Produces<HealthReport>(StatusCodes.Status503ServiceUnavailable);
        routes.MapMethods("/health/ready", Methods, (ServerHealth health) => Report(health.Readiness()))
            .WithName("ready").WithSummary("Holds once models are loaded and warmed up, until the server is told to stop.").WithTags("Health")
            .Open().Produces<HealthReport>().Produces<HealthReport>(StatusCodes.Status503ServiceUnavailable);
    }

    private static IResult Report((bool Good, HealthReport Report) health) => TypedResults.Json(
        health.Report, WireJson.Wire.HealthReport, statusCode: health.Good ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable);
}
