using System.Diagnostics;
using System.Globalization;
using Xunit;

namespace TrainServe.TestSupport;

/// <summary>A file system of a few mebibytes that can really be full. Only root can mount it.</summary>
public sealed class SmallDisk : IDisposable
{
    private readonly string _filler;

    private SmallDisk(string directory) => (Directory, _filler) = (directory, Path.Combine(directory, "filler"));

    public string Directory { get; }

    /// <summary>Mounts one, or the running test is skipped.</summary>
    public static SmallDisk Mount(string directory, int mebibytes)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess, "This test mounts a small tmpfs, which needs Linux and root.");
        System.IO.Directory.CreateDirectory(directory);
        int exitCode = Run("mount", "-t", "tmpfs", "-o", string.Create(CultureInfo.InvariantCulture, $"size={mebibytes}m"), "tmpfs", directory);
        Assert.SkipUnless(exitCode == 0, "This test mounts a small tmpfs, which is not allowed here.");
        return new SmallDisk(directory);
    }

    /// <summary>Writes until no more than this is free; what is there already counts.</summary>
    public void Fill(long leaveBytes)
    {
        using var file = new FileStream(_filler, FileMode.Append, FileAccess.Write, FileShare.None, bufferSize: 0);
        var zeros = new byte[4096];
        try
        {
            while (new DriveInfo(Directory).AvailableFreeSpace > leaveBytes)
            {
                file.Write(zeros);
            }
        }
        catch (IOException)
        {
            // Somebody else took the rest.
        }
    }

    public void MakeRoom() => File.Delete(_filler);

    public void Dispose() => Run("umount", "-l", Directory);

    private static int Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { UseShellExecute = false, RedirectStandardError = true })!;
        process.WaitForExit();
        return process.ExitCode;
    }
}
