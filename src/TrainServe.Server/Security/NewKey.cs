using System.Text.Json;

namespace TrainServe.Server.Security;

/// <summary><c>new-key NAME [chat] [admin]</c>: makes a key, and the entry of <c>TrainServe:Keys</c> that lets it in.</summary>
internal static class NewKey
{
    public const string Verb = "new-key";

    /// <exception cref="InvalidDataException">The name or a scope cannot be one.</exception>
    public static int Run(IReadOnlyList<string> arguments, TextWriter output)
    {
        string key = ApiKey.Generate();
        var configuration = new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?>(StringComparer.Ordinal)
        {
            ["key:Name"] = arguments.Count > 0 ? arguments[0] : "",
            ["key:Sha256"] = Convert.ToHexStringLower(ApiKey.Hash(key)),
            ["key:Scopes"] = arguments.Count > 1 ? string.Join(';', arguments.Skip(1)) : "chat",
        }).Build();
        var settings = new SettingReader(configuration.GetSection("key"));
        var entry = ApiKey.Read(settings);
        settings.ThrowIfWrong();
        string scopes = string.Join(", ", new[] { KeyScopes.Chat, KeyScopes.Admin }.Where(scope => entry.Scopes.HasFlag(scope)).Select(scope => $"\"{scope.ToString().ToLowerInvariant()}\""));
        output.WriteLine($"The key, shown only now: {key}");
        output.WriteLine("For TrainServe:Keys in appsettings.json:");
        output.WriteLine($$"""{ "Name": {{JsonSerializer.Serialize(entry.Name)}}, "Sha256": "{{Convert.ToHexStringLower(entry.Sha256)}}", "Scopes": [{{scopes}}] }""");
        return 0;
    }
}
