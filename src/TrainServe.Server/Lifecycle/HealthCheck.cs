namespace TrainServe.Server.Lifecycle;

/// <summary>Asks a server on this machine whether it is alive and ready: what a container's HEALTHCHECK runs, so that its image needs no other program for it.</summary>
internal static class HealthCheck
{
    public const string Verb = "healthcheck";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>0 when the server is alive and ready, 1 otherwise; a sentence says why.</summary>
    /// <param name="args">The options that the server was started with, as far as they say where it listens.</param>
    /// <param name="output">Takes the sentence.</param>
    public static async Task<int> RunAsync(string[] args, TextWriter output)
    {
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { Args = args, ContentRootPath = AppContext.BaseDirectory });
        var server = AddressOf(builder.Configuration);
#pragma warning disable MA0039 // Over the loopback nobody can stand between, and the certificate names the host that clients know.
        using var handler = new HttpClientHandler { ServerCertificateCustomValidationCallback = HttpClientHandler.DangerousAcceptAnyServerCertificateValidator };
#pragma warning restore MA0039
        using var client = new HttpClient(handler) { BaseAddress = server, Timeout = Patience };
        try
        {
            foreach (string route in new[] { "/health/live", "/health/ready" })
            {
                using var response = await client.GetAsync(route);
                if (!response.IsSuccessStatusCode)
                {
                    await output.WriteLineAsync($"unhealthy: {route} answers {(int)response.StatusCode} {await response.Content.ReadAsStringAsync()}");
                    return 1;
                }
            }
        }
        catch (Exception exception) when (exception is HttpRequestException or OperationCanceledException)
        {
            await output.WriteLineAsync($"unhealthy: {server} gives no answer: {exception.Message}");
            return 1;
        }
        await output.WriteLineAsync("healthy");
        return 0;
    }

    /// <summary>Where a server with these settings listens, by way of the loopback; plain HTTP before TLS.</summary>
    internal static Uri AddressOf(IConfiguration configuration)
    {
        var urls = Split(configuration["urls"])
            .Concat(configuration.GetSection("Kestrel:Endpoints").GetChildren().Select(endpoint => endpoint["Url"] ?? ""))
            .Concat(Split(configuration["http_ports"]).Select(port => $"http://*:{port}"))
            .Concat(Split(configuration["https_ports"]).Select(port => $"https://*:{port}"))
            .Where(url => url.Length > 0)
            .Select(BindingAddress.Parse)
            .Where(address => !address.IsUnixPipe && !address.IsNamedPipe)
            .OrderBy(address => address.Scheme == Uri.UriSchemeHttp ? 0 : 1)
            .ToList();
        return urls.Count == 0 ? new Uri(ServerHost.DefaultUrl) : new Uri($"{urls[0].Scheme}://127.0.0.1:{urls[0].Port}");
    }

    private static string[] Split(string? list) => (list ?? "").Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
}
