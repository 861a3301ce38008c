using System.ComponentModel;
using System.Runtime.InteropServices;

namespace TrainServe.Core.IO;

/// <summary>Writes that are on the disk when the call returns, and that report it when they are not.</summary>
/// <remarks>
/// .NET's own <c>FileStream.Flush(true)</c> and <c>RandomAccess.FlushToDisk</c> throw nothing when fsync fails, and <c>File.Move</c> does not
/// sync the directory. On Linux and macOS this calls <c>open</c>, <c>fsync</c> and <c>close</c> itself; elsewhere the file system's own order is all there is.
/// </remarks>
public static partial class DurableFile
{
    /// <inheritdoc cref="Write(string, Action{Stream})"/>
    public static void Write(string path, ReadOnlyMemory<byte> content) => Write(path, stream => stream.Write(content.Span));

    /// <summary>Writes a file so that a reader sees the old content or the whole new content, never a part.</summary>
    /// <exception cref="IOException">The disk is full or failed; the old file is intact.</exception>
    public static void Write(string path, Action<Stream> write)
    {
        string temporary = path + ".tmp";
        try
        {
            using (var stream = new FileStream(temporary, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 1 << 20))
            {
                write(stream);
            }
            Sync(temporary);
            File.Move(temporary, path, overwrite: true);
            SyncDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }

    /// <summary>Forces a file's content to the disk.</summary>
    /// <exception cref="IOException">The operating system could not; what was written may be lost.</exception>
    public static void Sync(string path) => SyncPath(path);

    /// <summary>Forces a directory's entries (names made, removed, renamed) to the disk.</summary>
    /// <exception cref="IOException">The operating system could not.</exception>
    public static void SyncDirectory(string path) => SyncPath(path);

    /// <summary>Renames a finished directory into place and forces the new name to the disk.</summary>
    public static void MoveDirectory(string source, string destination)
    {
        Directory.Move(source, destination);
        SyncDirectory(Path.GetDirectoryName(Path.GetFullPath(destination))!);
    }

    private static void SyncPath(string path)
    {
        if (OperatingSystem.IsWindows())
        {
            return;
        }
        const int readOnly = 0;
        int descriptor = Open(path, readOnly);
        if (descriptor < 0)
        {
            throw Failure("open", path);
        }
        int synced = FileSync(descriptor);
        int error = Marshal.GetLastPInvokeError();
        int closed = Close(descriptor);
        if (synced != 0)
        {
            Marshal.SetLastPInvokeError(error);
            throw Failure("fsync", path);
        }
        if (closed != 0)
        {
            throw Failure("close", path);
        }
    }

    private static IOException Failure(string call, string path)
    {
        int error = Marshal.GetLastPInvokeError();
        return new IOException($"{path} could not be forced to the disk: {call} failed, {new Win32Exception(error).Message}.", error);
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int FileSync(int descriptor);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int descriptor);
}
