using Microsoft.Extensions.Configuration;
using TrainServe.Server.Lifecycle;
using TrainServe.TestSupport;

namespace TrainServe.Server.Tests;

public sealed class HealthCheckTests
{
    [Theory]
    [InlineData("", "http://127.0.0.1:8080/")]
    [InlineData("urls=http://0.0.0.0:5000", "http://127.0.0.1:5000/")]
    [InlineData("urls=https://*:5001;http://+:5002/", "http://127.0.0.1:5002/")]
    [InlineData("http_ports=9000", "http://127.0.0.1:9000/")]
    [InlineData("https_ports=9443", "https://127.0.0.1:9443/")]
    [InlineData("Kestrel:Endpoints:A:Url=https://example.org:444", "https://127.0.0.1:444/")]
    [InlineData("urls=http://unix:/run/trainserve.sock;http://localhost:5003", "http://127.0.0.1:5003/")]
    public void The_check_asks_where_a_server_with_the_same_settings_listens(string setting, string expected)
    {
        var configuration = new ConfigurationBuilder();
        if (setting.Split('=', 2) is [var key, var value])
        {
            configuration.AddInMemoryCollection([new(key, value)]);
        }
        Assert.Equal(expected, HealthCheck.AddressOf(configuration.Build()).AbsoluteUri);
    }

    [Fact]
    public async Task Where_nothing_listens_the_check_fails_with_a_sentence()
    {
        int port = FreePort.Find();
        var output = new StringWriter();
        Assert.Equal(1, await HealthCheck.RunAsync(["--urls", $"http://127.0.0.1:{port}"], output));
        Assert.StartsWith("unhealthy: ", output.ToString(), StringComparison.Ordinal);
    }
}
