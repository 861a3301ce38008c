namespace TrainServe.Server;

/// <summary>Refuses options that nothing reads: the host itself would pass over a misspelt one in silence.</summary>
internal static class CommandLine
{
    private static readonly string[] HostOptions = ["--urls", "--http_ports", "--https_ports", "--environment", "--contentRoot"];

    /// <exception cref="InvalidDataException">An option is unknown; the message has a line for each.</exception>
    public static void Check(IReadOnlyList<string> args)
    {
        var unknown = args
            .Where(arg => arg.StartsWith("--", StringComparison.Ordinal))
            .Select(arg => arg.Split('=')[0])
            .Where(name => !name.Contains(':') && !ServerOptions.Switches.ContainsKey(name) && !HostOptions.Contains(name, StringComparer.OrdinalIgnoreCase))
            .Select(name => $"{name} is not an option; there are --urls, {string.Join(", ", ServerOptions.Switches.Keys.Order(StringComparer.Ordinal))}.");
        string message = string.Join(Environment.NewLine, unknown);
        if (message.Length > 0)
        {
            throw new InvalidDataException(message);
        }
    }
}
