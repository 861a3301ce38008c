using System.Globalization;

namespace TrainServe.Training.Checkpointing;

/// <summary>Keeps a second trainer out of a directory. The operating system gives it up when the process ends, however it ends.</summary>
public sealed class RunLock : IDisposable
{
    public const string FileName = "run.lock";

    // Who holds the lock; beside it, because a locked file cannot be read.
    private const string HolderFile = "run.pid";
    private readonly FileStream _stream;
    private readonly string? _made;

    private RunLock(FileStream stream, string? made) => (_stream, _made) = (stream, made);

    /// <param name="directory">Made if it is missing.</param>
    /// <exception cref="IOException">Another process trains in this directory.</exception>
    public static RunLock Take(string directory)
    {
        bool isNew = !Directory.Exists(directory);
        Directory.CreateDirectory(directory);
        var stream = Lock(directory);
        try
        {
            File.WriteAllText(Path.Combine(directory, HolderFile), Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
            return new RunLock(stream, isNew ? directory : null);
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    /// <summary>Whether a trainer was ever here.</summary>
    public static bool Exists(string directory) => File.Exists(Path.Combine(directory, FileName));

    /// <summary>Lets others in. A directory that was made for a run of which nothing came is taken away again.</summary>
    public void Dispose()
    {
        _stream.Dispose();
        if (_made is not null && Directory.Exists(_made) && Directory.EnumerateFileSystemEntries(_made).All(path => Path.GetFileName(path) is FileName or HolderFile))
        {
            Directory.Delete(_made, recursive: true);
        }
    }

    private static FileStream Lock(string directory)
    {
        try
        {
            return new FileStream(Path.Combine(directory, FileName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
        }
        catch (IOException error) when (IsHeld(error))
        {
            throw new IOException($"Another process ({Holder(directory)}) trains in {directory}; wait for it, stop it, or choose another output directory.", error);
        }
    }

    // EWOULDBLOCK of Linux and of macOS, and Windows' sharing violation. Any other failure, as of a full disk, speaks for itself.
    private static bool IsHeld(IOException error) => error.HResult is 11 or 35 or unchecked((int)0x80070020);

    private static string Holder(string directory)
    {
        string path = Path.Combine(directory, HolderFile);
        return File.Exists(path) ? $"number {File.ReadAllText(path)}" : "number unknown";
    }
}
