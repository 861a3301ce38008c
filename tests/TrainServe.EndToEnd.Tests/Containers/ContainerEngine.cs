using System.Diagnostics;
using System.Globalization;
using System.Text;
using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests.Containers;

/// <summary>Builds and runs the project's images with podman, where it is installed.</summary>
internal static class ContainerEngine
{
    /// <summary>Tests that build images do it one after the other: the second finds the layers of the first.</summary>
    public const string Collection = "containers";

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    /// <summary>The image to build on; the official one unless the variable names a stand-in.</summary>
    public static string BaseRuntime => Environment.GetEnvironmentVariable("TRAINSERVE_BASE_RUNTIME") ?? "mcr.microsoft.com/dotnet/aspnet:10.0";

    private static string BaseSdk => Environment.GetEnvironmentVariable("TRAINSERVE_BASE_SDK") ?? "mcr.microsoft.com/dotnet/sdk:10.0";

    /// <summary>Skips the test where images cannot be built.</summary>
    public static async Task RequireAsync()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && OnPath("podman"), "podman is not installed");
        foreach (string image in new[] { BaseSdk, BaseRuntime })
        {
            var (code, _) = await TryAsync("image", "exists", image);
            Assert.SkipUnless(code == 0, $"the base image {image} is not here; pull it, or name another with TRAINSERVE_BASE_SDK and TRAINSERVE_BASE_RUNTIME");
        }
    }

    /// <summary>Builds a target of the Dockerfile, and gives podman's log of it.</summary>
    /// <param name="target">A stage.</param>
    /// <param name="tag">The image's name.</param>
    /// <param name="source">The directory to build; the repository when null.</param>
    public static async Task<string> BuildAsync(string target, string tag, string? source = null)
    {
        List<string> args =
        [
            // A HEALTHCHECK exists only in Docker's format; the isolation works without privileges that a build machine seldom gives.
            "build", "--format", "docker", "--isolation", "chroot", "--network", "host", "--layers", "--pull=never", "--target", target, "--tag", tag,
            "--build-arg", $"BASE_SDK={BaseSdk}", "--build-arg", $"BASE_RUNTIME={BaseRuntime}",
        ];
        string packages = Environment.GetEnvironmentVariable("NUGET_PACKAGES") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        if (Directory.Exists(packages))
        {
            args.AddRange(["--volume", $"{packages}:/root/.nuget/packages"]);
        }
        if (Environment.GetEnvironmentVariable("NUGET_CERT_REVOCATION_MODE") is { } mode)
        {
            args.AddRange(["--env", $"NUGET_CERT_REVOCATION_MODE={mode}"]);
        }
        return await RunAsync([.. args, source ?? RepositoryRoot.Directory]);
    }

    /// <summary>Bytes of an image with all that it is built on.</summary>
    public static async Task<long> SizeAsync(string image) => long.Parse(await RunAsync("image", "inspect", "--format", "{{.Size}}", image), CultureInfo.InvariantCulture);

    /// <summary>What podman prints; fails the test when podman fails.</summary>
    public static async Task<string> RunAsync(params IEnumerable<string> args)
    {
        var (code, output) = await TryAsync(args);
        Assert.True(code == 0, $"podman {string.Join(' ', args)} ended with {code}: {output}");
        return output;
    }

    /// <summary>Podman's exit code and what it prints; with a failure also what it complains of.</summary>
    public static async Task<(int Code, string Output)> TryAsync(params IEnumerable<string> args)
    {
        using var process = Process.Start(new ProcessStartInfo("podman", args) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true })!;
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync().WaitAsync(Patience);
        string text = await output;
        return (process.ExitCode, process.ExitCode == 0 ? text.Trim() : new StringBuilder(text).Append(await errors).ToString());
    }

    private static bool OnPath(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(directory => File.Exists(Path.Combine(directory, program)));
}
