using OpenTelemetry.Exporter;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace TrainServe.Server.Telemetry;

/// <summary>Sends traces and metrics to an OpenTelemetry collector where one is named. Without one nothing is sent anywhere.</summary>
internal static class TelemetryExport
{
    public static void Add(IServiceCollection services, ServerOptions options)
    {
        services.AddMetrics();
        services.AddSingleton<ServingMetrics>();
        if (options.OtlpEndpoint.Length == 0)
        {
            return;
        }
        var endpoint = new Uri(options.OtlpEndpoint.TrimEnd('/') + "/");
        services.AddOpenTelemetry()
            .ConfigureResource(resource => resource.AddService("trainserve", serviceVersion: Core.Packaging.CodeVersion.Current))
            .WithTracing(tracing => tracing
                .AddSource(AnswerObserver.SourceName)
                .AddAspNetCoreInstrumentation(requests => requests.Filter = context => !context.Request.Path.StartsWithSegments("/health", StringComparison.Ordinal) && context.Request.Path != "/metrics")
                .AddOtlpExporter(exporter => Configure(exporter, endpoint, "v1/traces")))
            .WithMetrics(metrics => metrics
                .AddMeter(ServingMetrics.MeterName, "Microsoft.AspNetCore.Hosting", "Microsoft.AspNetCore.Server.Kestrel", "System.Runtime")
                .AddOtlpExporter(exporter => Configure(exporter, endpoint, "v1/metrics")));
    }

    private static void Configure(OtlpExporterOptions exporter, Uri endpoint, string path)
    {
        exporter.Protocol = OtlpExportProtocol.HttpProtobuf;
        exporter.Endpoint = new Uri(endpoint, path);
    }
}
