using Microsoft.AspNetCore.HostFiltering;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging.Console;
using Scalar.AspNetCore;
using TrainServe.Inference.Execution;
using TrainServe.Server.Catalogue;
using TrainServe.Server.Contracts;
using TrainServe.Server.Documentation;
using TrainServe.Server.Endpoints;
using TrainServe.Server.Http;
using TrainServe.Server.Lifecycle;
using TrainServe.Server.Limits;
using TrainServe.Server.Recording;
using TrainServe.Server.Security;
using TrainServe.Server.Telemetry;

namespace TrainServe.Server;

/// <summary>Puts the server together.</summary>
internal static class ServerHost
{
    public const string DefaultUrl = "http://127.0.0.1:8080";

    /// <param name="args">The command line.</param>
    /// <param name="configure">A test's changes to the services.</param>
    /// <exception cref="InvalidDataException">Settings are wrong; the message has a line for each.</exception>
    public static WebApplication Build(string[] args, Action<IServiceCollection>? configure = null)
    {
        CommandLine.Check(args);
        // Settings lie beside the program, wherever it is started from.
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { Args = args, ContentRootPath = AppContext.BaseDirectory });
        builder.Configuration.AddCommandLine(args, ServerOptions.Switches);
        var options = ServerOptions.Read(builder.Configuration);
        // A GPU that was named and cannot be used is no reason to serve slowly from the processor.
        InferenceDevice.Open(options.Device, out _);
        UseLoopbackByDefault(builder);
        UseConsoleLogs(builder);
        builder.WebHost.UseKestrelHttpsConfiguration(); // Kestrel:Endpoints:NAME with Url and Certificate, as in any ASP.NET Core host
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            // Kestrel's own refusals have no body: RequestBody and RequestFraming count first, and answer in our words.
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Limits.MaxRequestLineSize = 8 * RequestFraming.MostLineBytes;
            kestrel.Limits.MaxRequestHeadersTotalSize = 8 * RequestFraming.MostHeaderBytes;
            kestrel.ConfigureEndpointDefaults(endpoint => endpoint.Use(RefusalBodies.Use));
            kestrel.Limits.MaxRequestHeaderCount = 8 * RequestFraming.MostHeaders;
        });
        AddServices(builder.Services, options);
        configure?.Invoke(builder.Services);
        var app = builder.Build();
        app.UseMiddleware<RequestFraming>();
        if (options.CorsOrigins.Count > 0)
        {
            app.UseCors();
        }
        app.UseMiddleware<KeyGuard>();
        MapRoutes(app);
        app.Lifetime.ApplicationStarted.Register(() => WarnOfUnreachableHosts(app, options));
        return app;
    }

    private static void AddServices(IServiceCollection services, ServerOptions options)
    {
        services.AddSingleton(options);
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton<ModelCatalogue>();
        services.AddSingleton<ModelLoader>();
        services.AddSingleton<LoadModel>(provider => provider.GetRequiredService<ModelLoader>().LoadAsync);
        services.AddSingleton<ModelLoads>();
        services.AddSingleton<AdminEndpoints>();
        services.AddHostedService<CatalogueService>();
        services.AddSingleton<DrainState>();
        services.AddHostedService(provider => provider.GetRequiredService<DrainState>());
        services.AddSingleton<ServerHealth>();
        services.AddSingleton<KeyRing>();
        services.AddSingleton<ILimitStore>(provider => options.Redis.Length > 0
            ? new RedisLimitStore(options.Redis, provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<RedisLimitStore>>())
            : new MemoryLimitStore(provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton<RateLimits>();
        TelemetryExport.Add(services, options);
        services.AddSingleton<AnswerRecorder>();
        services.AddHostedService(provider => provider.GetRequiredService<AnswerRecorder>());
        services.AddHostedService<AnswerRetention>();
        services.AddSingleton<AnswerServices>();
        services.AddSingleton<ChatCompletionsEndpoints>();
        services.AddSingleton<CompletionsEndpoints>();
        services.AddSingleton<MessagesEndpoints>();
        services.AddSingleton<ResponsesEndpoints>();
        services.AddSingleton<EmbeddingsEndpoints>();
        services.AddSingleton<ScoreEndpoints>();
        services.AddSingleton<FeedbackEndpoints>();
        services.Insert(0, ServiceDescriptor.Transient<IStartupFilter, EnvelopeFilter>()); // before the host's own, so around them
        services.AddExceptionHandler<ApiExceptionHandler>();
        services.Configure<HostOptions>(host => host.ShutdownTimeout = options.DrainDelay + options.DrainTimeout + TimeSpan.FromSeconds(5));
        services.Configure<HostFilteringOptions>(filter =>
        {
            filter.AllowedHosts = [.. options.AllowedHosts];
            filter.IncludeFailureMessage = false;
        });
        services.ConfigureHttpJsonOptions(json => json.SerializerOptions.TypeInfoResolverChain.Insert(0, WireJson.Wire));
        services.AddOpenApi(ApiDocument.Configure);
        services.AddCors(cors => cors.AddDefaultPolicy(policy => policy
            .WithOrigins([.. options.CorsOrigins]).AllowAnyHeader().AllowAnyMethod()
            .WithExposedHeaders("x-request-id", "x-model-version", "retry-after", "retry-after-ms", "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests",
                "x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens")));
    }

    private static void MapRoutes(WebApplication app)
    {
        ChatCompletionsEndpoints.Map(app);
        CompletionsEndpoints.Map(app);
        MessagesEndpoints.Map(app);
        ResponsesEndpoints.Map(app);
        EmbeddingsEndpoints.Map(app);
        ScoreEndpoints.Map(app);
        FeedbackEndpoints.Map(app);
        TokenEndpoints.Map(app);
        ModelsEndpoints.Map(app);
        AdminEndpoints.Map(app);
        HealthEndpoints.Map(app);
        MetricsEndpoints.Map(app);
        app.MapOpenApi("/openapi/v1.json");
        app.MapScalarApiReference("/scalar");
        ParameterPage.Map(app);
    }

    private static void WarnOfUnreachableHosts(WebApplication app, ServerOptions options)
    {
        var loopback = new ServerOptions().AllowedHosts;
        if (options.AllowedHosts.All(loopback.Contains) && app.Urls.Any(url => !Uri.TryCreate(url, UriKind.Absolute, out var address) || !address.IsLoopback))
        {
            app.Logger.LogWarning("The server listens beyond the loopback, but answers only to the names {Hosts}. Name others with --allowed-hosts.", string.Join(", ", options.AllowedHosts));
        }
    }

    // A person reads a terminal, programs read what goes elsewhere. Logging:Console:FormatterName decides otherwise.
    private static void UseConsoleLogs(WebApplicationBuilder builder)
    {
        string? chosen = builder.Configuration["Logging:Console:FormatterName"];
        string format = chosen ?? (Console.IsOutputRedirected ? ConsoleFormatterNames.Json : ConsoleFormatterNames.Simple);
        builder.Logging.ClearProviders().AddConsole(console => console.FormatterName = format);
        if (chosen is null)
        {
            builder.Services.Configure<SimpleConsoleFormatterOptions>(simple => (simple.SingleLine, simple.TimestampFormat, simple.UseUtcTimestamp) = (true, "HH:mm:ss ", false));
        }
        // ApiExceptionHandler reports what it answers, and Kestrel what breaks a stream: once is enough.
        builder.Logging.AddFilter("Microsoft.AspNetCore.Diagnostics.ExceptionHandlerMiddleware", LogLevel.None);
        // Program says why the host did not start.
        builder.Logging.AddFilter("Microsoft.Extensions.Hosting.Internal.Host", LogLevel.Critical);
    }

    // Whoever wants to be reached from elsewhere has to say so.
    private static void UseLoopbackByDefault(WebApplicationBuilder builder)
    {
        var configuration = builder.Configuration;
        bool chosen = new[] { "urls", "http_ports", "https_ports" }.Any(key => !string.IsNullOrEmpty(configuration[key]))
            || configuration.GetSection("Kestrel:Endpoints").GetChildren().Any();
        if (!chosen)
        {
            builder.WebHost.UseUrls(DefaultUrl);
        }
    }
}
