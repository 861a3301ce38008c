using System.Text.Json;

namespace TrainServe.Server.Tests;

/// <summary>What the server's program is built of.</summary>
public sealed class AssemblyTests
{
    private static readonly string Program = typeof(ServerHost).Assembly.GetName().Name!;

    // Without cultures string.Normalize returns its text unchanged, and the tokenizers that normalize would give other ids than in training.
    [Fact]
    public void The_server_keeps_Unicode_normalization()
    {
        using var settings = Read(".runtimeconfig.json");
        var options = settings.RootElement.GetProperty("runtimeOptions").GetProperty("configProperties");
        Assert.False(options.TryGetProperty("System.Globalization.Invariant", out var invariant) && invariant.GetBoolean());
    }

    private static JsonDocument Read(string extension) => JsonDocument.Parse(File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, Program + extension)));

    [Fact]
    public void Beside_the_server_lies_no_native_library_of_another_platform()
    {
        string[] foreign = OperatingSystem.IsWindows() ? ["*.so", "*.dylib"] : ["onnxruntime*.dll", OperatingSystem.IsLinux() ? "*.dylib" : "*.so"];
        Assert.All(foreign, pattern => Assert.Empty(Directory.EnumerateFiles(AppContext.BaseDirectory, pattern)));
    }
}
