using System.Runtime.InteropServices;

namespace TrainServe.Inference.Execution;

/// <summary>How many names a file has; .NET does not say.</summary>
internal static unsafe partial class HardLinks
{
    private const int AtCurrentDirectory = -100, NoFollow = 0x100;
    private const uint WantLinks = 4;

    /// <summary>The number of names on Linux, and 1 elsewhere, where the question is not asked.</summary>
    /// <exception cref="IOException">The system does not say.</exception>
    public static int Count(string path)
    {
        if (!OperatingSystem.IsLinux())
        {
            return 1;
        }
        // struct statx is 256 bytes on every architecture; stx_mask lies at 0 and stx_nlink at 16.
        byte* buffer = stackalloc byte[256];
        if (Statx(AtCurrentDirectory, path, NoFollow, WantLinks, buffer) != 0)
        {
            throw new IOException($"{path} cannot be examined: error {Marshal.GetLastPInvokeError()}.");
        }
        return *(int*)(buffer + 16);
    }

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Statx(int directory, string path, int flags, uint mask, byte* result);
}
