using System.Diagnostics;
using System.Text.Json;
using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests.Deployment;

/// <summary>What <c>-p:Accelerator</c> selects, as MSBuild evaluates it: the packages themselves are gigabytes, and not on every registry.</summary>
[Trait("Category", "Slow")]
public sealed class AcceleratorTests
{
    private static readonly string[] Native = ["libtorch-", "TorchSharp-", "Microsoft.ML.OnnxRuntime"];

    [Theory]
    [InlineData("TrainServe.Model", "cpu", "linux-x64", "libtorch-cpu-linux-x64")]
    [InlineData("TrainServe.Model", "cpu", "osx-arm64", "libtorch-cpu-osx-arm64")]
    [InlineData("TrainServe.Model", "cuda", "linux-x64", "TorchSharp-cuda-linux")]
    [InlineData("TrainServe.Model", "cuda", "win-x64", "TorchSharp-cuda-windows")]
    [InlineData("TrainServe.Inference", "cpu", "linux-x64", "Microsoft.ML.OnnxRuntime")]
    [InlineData("TrainServe.Inference", "cuda", "linux-x64", "Microsoft.ML.OnnxRuntime.Gpu")]
    public async Task A_project_takes_the_native_package_of_its_accelerator_and_no_other(string project, string accelerator, string platform, string package)
    {
        Assert.Equal([package], await NativePackagesAsync(project, accelerator, platform));
    }

    [Fact]
    public async Task No_other_project_names_a_native_package_so_that_all_follow_these_two()
    {
        string[] others = [.. Directory.EnumerateDirectories(RepositoryRoot.PathOf("src")).Select(directory => Path.GetFileName(directory)!).Where(name => name is not ("TrainServe.Model" or "TrainServe.Inference"))];
        Assert.NotEmpty(others);
        foreach (string project in others)
        {
            Assert.Empty(await NativePackagesAsync(project, "cuda", "linux-x64"));
        }
    }

    private static async Task<string[]> NativePackagesAsync(string project, string accelerator, string platform)
    {
        string[] args = ["msbuild", RepositoryRoot.PathOf($"src/{project}/{project}.csproj"), "-getItem:PackageReference", $"-p:Accelerator={accelerator}", $"-p:RuntimeIdentifier={platform}"];
        using var process = Process.Start(new ProcessStartInfo("dotnet", args) { UseShellExecute = false, RedirectStandardOutput = true })!;
        string output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, output);
        return [.. JsonDocument.Parse(output).RootElement.GetProperty("Items").GetProperty("PackageReference").EnumerateArray()
            .Select(item => item.GetProperty("Identity").GetString()!)
            .Where(name => Native.Any(start => name.StartsWith(start, StringComparison.Ordinal)))];
    }
}
