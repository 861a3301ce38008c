using System.Diagnostics;
using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests;

/// <summary>The official clients for Node, as processes. Their versions are pinned by <c>sdk/package-lock.json</c>.</summary>
public sealed class NodeSdkTests(TinyServer tiny, NodePackages packages) : IClassFixture<TinyServer>, IClassFixture<NodePackages>
{
    [Theory]
    [InlineData("openai")]
    [InlineData("anthropic")]
    [InlineData("ai")]
    public async Task The_client_takes_the_server_for_the_real_thing(string script)
    {
        packages.Require();
        var (exitCode, output) = await NodePackages.RunAsync("node", [$"{script}.mjs", tiny.Server.Client.BaseAddress!.ToString().TrimEnd('/'), OpenAiDescription()]);
        Assert.True(exitCode == 0, output);
        Assert.Contains(" passed, 0 failed", output);
        TestContext.Current.TestOutputHelper?.WriteLine(output);
    }

    // Without the description the client is still tested, only the shapes are not compared.
    private static string OpenAiDescription() => SharedData.TryBeside("contract/openai-api.yml") ?? "";
}

/// <summary>Installs the pinned packages once.</summary>
public sealed class NodePackages : IAsyncLifetime
{
    private static readonly string Folder = RepositoryRoot.PathOf("tests/TrainServe.EndToEnd.Tests/sdk");
    private string? _fault;

    public async ValueTask InitializeAsync()
    {
        if (Directory.Exists(Path.Combine(Folder, "node_modules", "openai")))
        {
            return;
        }
        try
        {
            var (exitCode, output) = await RunAsync("npm", ["ci", "--no-audit", "--no-fund"]);
            _fault = exitCode == 0 ? null : $"npm could not install the clients: {output}";
        }
        catch (System.ComponentModel.Win32Exception)
        {
            _fault = "Node is not installed.";
        }
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    /// <summary>Skips the running test where the clients are not to be had.</summary>
    public void Require() => Assert.SkipWhen(_fault is not null, _fault ?? "");

    public static async Task<(int ExitCode, string Output)> RunAsync(string program, IEnumerable<string> arguments, params (string Name, string Value)[] variables)
    {
        var start = new ProcessStartInfo(program, arguments) { WorkingDirectory = Folder, UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in variables)
        {
            start.Environment[name] = value;
        }
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync().WaitAsync(TimeSpan.FromMinutes(3));
        return (process.ExitCode, await output + await errors);
    }
}
