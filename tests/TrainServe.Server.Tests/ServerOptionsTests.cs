using Microsoft.Extensions.Configuration;
using TrainServe.Server.Security;
using TrainServe.TestSupport;

namespace TrainServe.Server.Tests;

public sealed class ServerOptionsTests
{
    [Fact]
    public void Every_error_is_reported_at_once()
    {
        var error = Assert.Throws<InvalidDataException>(() => Read(("Slots", "none"), ("DrainSeconds", "-1"), ("Precision", "fp8"), ("Device", "gpu"), ("Slotz", "1")));
        Assert.Equal(
            [
                "TrainServe:Precision is 'fp8'; it must be one of auto, fp32, fp16, int8, int4.",
                "TrainServe:Slots is 'none'; it must be a whole number from 1 to 1024.",
                "TrainServe:DrainSeconds is '-1'; it must be a number of seconds from 0 to 86400.",
                "TrainServe:Device is 'gpu'; it must be auto, cpu, cuda or cuda:N.",
            ],
            error.Message.Split(Environment.NewLine)[..4]);
        Assert.StartsWith("TrainServe:Slotz is not a setting; there are Aliases, AllowedHosts, ", error.Message.Split(Environment.NewLine)[4]);
    }

    [Fact]
    public void Settings_are_read()
    {
        var options = Read(("Models", "/m"), ("Slots", "3"), ("DrainSeconds", "1.5"), ("AllowedHosts", "a.example; b.example"), ("PingSeconds", "0.5"));
        Assert.Equal(("/m", 3, TimeSpan.FromSeconds(1.5), TimeSpan.FromSeconds(0.5)), (options.Models, options.Slots, options.DrainTimeout, options.PingInterval));
        Assert.Equal(["a.example", "b.example"], options.AllowedHosts);
    }

    [Fact]
    public void A_time_to_keep_feedback_needs_a_place_where_it_is_kept()
    {
        Assert.Equal("TrainServe:FeedbackDays is '30'; without the option Feedback nothing is kept that could be removed.", Assert.Throws<InvalidDataException>(() => Read(("FeedbackDays", "30"))).Message);
        Assert.Equal(30, Read(("FeedbackDays", "30"), ("Feedback", "sqlite:feedback.db")).FeedbackDays);
        Assert.Equal("", Read().Feedback);
    }

    [Fact]
    public void Every_setting_has_a_switch()
    {
        var error = Assert.Throws<InvalidDataException>(() => Read(("Nonsense", "1")));
        string[] settings = error.Message[(error.Message.IndexOf("there are ", StringComparison.Ordinal) + 10)..].TrimEnd('.').Split(", ");
        // Keys are sections of their own.
        Assert.Equal(settings.Except(["Keys"]), ServerOptions.Switches.Values.Select(key => key.Split(':')[1]).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Every_setting_is_in_the_README()
    {
        string readme = File.ReadAllText(RepositoryRoot.PathOf("README.md"));
        Assert.All(ServerOptions.Switches.Keys, name => Assert.Contains($"`{name}`", readme));
    }

    [Fact]
    public void Keys_are_read_and_every_error_in_them_is_reported()
    {
        string hash = Convert.ToHexString(ApiKey.Hash("secret"));
        var options = Read(("Keys:0:Name", "ann"), ("Keys:0:Sha256", hash), ("Keys:0:RequestsPerMinute", "5"), ("Keys:1:Name", "root"), ("Keys:1:Sha256", hash.ToLowerInvariant()), ("Keys:1:Scopes:0", "chat"), ("Keys:1:Scopes:1", "admin"));
        Assert.Equal([("ann", KeyScopes.Chat, 5, null), ("root", KeyScopes.Chat | KeyScopes.Admin, (int?)null, (int?)null)],
            options.Keys.Select(key => (key.Name, key.Scopes, key.RequestsPerMinute, key.TokensPerMinute)));
        var error = Assert.Throws<InvalidDataException>(() => Read(("Keys:0:Name", "a b"), ("Keys:0:Sha256", "plain-secret"), ("Keys:0:Scopes", "king"), ("Keys:0:TokensPerMinute", "0"), ("Keys:0:Secret", "x")));
        Assert.Equal(
            [
                "TrainServe:Keys:0:Name is 'a b'; it must be 1 to 64 letters, digits, '-', '_' and '.'.",
                "TrainServe:Keys:0:Sha256 is wrong; it must be the SHA-256 of a key in 64 hexadecimal digits; make a key with: trainserve-server new-key NAME.",
                "TrainServe:Keys:0:Scopes is 'king'; they must be of chat and admin.",
                "TrainServe:Keys:0:TokensPerMinute is '0'; it must be a whole number from 1 to 2147483647.",
                "TrainServe:Keys:0:Secret is not a setting; there are Name, RequestsPerMinute, Scopes, Sha256, TokensPerMinute.",
            ],
            error.Message.Split(Environment.NewLine));
        Assert.DoesNotContain("plain-secret", error.Message);
    }

    [Fact]
    public void A_new_key_is_shown_once_with_the_entry_that_lets_it_in()
    {
        var output = new StringWriter();
        NewKey.Run(["ann", "chat", "admin"], output);
        string[] lines = output.ToString().Split(Environment.NewLine);
        string key = lines[0]["The key, shown only now: ".Length..];
        using var entry = System.Text.Json.JsonDocument.Parse(lines[2]);
        Assert.Equal(ApiKey.Hash(key), Convert.FromHexString(entry.RootElement.GetProperty("Sha256").GetString()!));
        Assert.Equal(["chat", "admin"], entry.RootElement.GetProperty("Scopes").EnumerateArray().Select(scope => scope.GetString()));
        Assert.Throws<InvalidDataException>(() => NewKey.Run([], output));
    }

    [Fact]
    public void A_misspelt_option_is_refused()
    {
        var error = Assert.Throws<InvalidDataException>(() => CommandLine.Check(["--model", "x", "--urls", "http://127.0.0.1:0", "--Logging:LogLevel:Default=Debug"]));
        Assert.StartsWith("--model is not an option; there are --urls, --aliases, --allowed-hosts, ", error.Message);
    }

    private static ServerOptions Read(params (string Name, string Value)[] settings) => ServerOptions.Read(new ConfigurationBuilder()
        .AddInMemoryCollection(settings.Select(setting => KeyValuePair.Create($"TrainServe:{setting.Name}", (string?)setting.Value))).Build());
}
