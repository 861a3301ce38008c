using Microsoft.Extensions.Configuration;

namespace TrainServe.Server.Tests;

public sealed class ServerOptionsTests
{
    [Fact]
    public void Every_error_is_reported_at_once()
    {
        var error = Assert.Throws<InvalidDataException>(() => Read(("Slots", "none"), ("DrainSeconds", "-1"), ("Precision", "fp8"), ("Slotz", "1")));
        Assert.Equal(
            [
                "TrainServe:Precision is 'fp8'; it must be one of auto, fp32, int8, int4.",
                "TrainServe:Slots is 'none'; it must be a whole number from 1 to 1024.",
                "TrainServe:DrainSeconds is '-1'; it must be a number of seconds from 0 to 86400.",
            ],
            error.Message.Split(Environment.NewLine)[..3]);
        Assert.StartsWith("TrainServe:Slotz is not a setting; there are AllowedHosts, ", error.Message.Split(Environment.NewLine)[3]);
    }

    [Fact]
    public void Settings_are_read()
    {
        var options = Read(("Models", "/m"), ("Slots", "3"), ("DrainSeconds", "1.5"), ("AllowedHosts", "a.example; b.example"), ("PingSeconds", "0.5"));
        Assert.Equal(("/m", 3, TimeSpan.FromSeconds(1.5), TimeSpan.FromSeconds(0.5)), (options.Models, options.Slots, options.DrainTimeout, options.PingInterval));
        Assert.Equal(["a.example", "b.example"], options.AllowedHosts);
    }

    [Fact]
    public void Every_setting_has_a_switch()
    {
        var error = Assert.Throws<InvalidDataException>(() => Read(("Nonsense", "1")));
        string[] settings = error.Message[(error.Message.IndexOf("there are ", StringComparison.Ordinal) + 10)..].TrimEnd('.').Split(", ");
        Assert.Equal(settings, ServerOptions.Switches.Values.Select(key => key.Split(':')[1]).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_misspelt_option_is_refused()
    {
        var error = Assert.Throws<InvalidDataException>(() => CommandLine.Check(["--model", "x", "--urls", "http://127.0.0.1:0", "--Logging:LogLevel:Default=Debug"]));
        Assert.StartsWith("--model is not an option; there are --urls, --allowed-hosts, ", error.Message);
    }

    private static ServerOptions Read(params (string Name, string Value)[] settings) => ServerOptions.Read(new ConfigurationBuilder()
        .AddInMemoryCollection(settings.Select(setting => KeyValuePair.Create($"TrainServe:{setting.Name}", (string?)setting.Value))).Build());
}
