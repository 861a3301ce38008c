using System.IO.Compression;

namespace TrainServe.TestSupport;

/// <summary>A directory of its own for one test, removed with everything in it when the test is over.</summary>
public sealed class TemporaryDirectory : IDisposable
{
    public TemporaryDirectory() => FullName = Directory.CreateTempSubdirectory("trainserve-").FullName;

    public string FullName { get; }

    /// <summary>Full path of an entry in it; nothing is created.</summary>
    public string PathOf(params string[] parts) => Path.Combine([FullName, .. parts]);

    /// <summary>Writes a text file and gives its full path.</summary>
    public string WriteText(string relative, string content)
    {
        string path = PathOf(relative);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, content);
        return path;
    }

    /// <summary>Writes a file, packed where the name ends in .gz, and gives its full path.</summary>
    public string WriteBytes(string relative, ReadOnlySpan<byte> content)
    {
        string path = PathOf(relative);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        using var file = File.Create(path);
        using Stream target = path.EndsWith(".gz", StringComparison.Ordinal) ? new GZipStream(file, CompressionLevel.Fastest) : file;
        target.Write(content);
        return path;
    }

    public void Dispose()
    {
        try
        {
            Directory.Delete(FullName, recursive: true);
        }
        catch (DirectoryNotFoundException)
        {
            // The test removed it itself.
        }
    }
}
