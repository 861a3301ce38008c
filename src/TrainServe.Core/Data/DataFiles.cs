using System.IO.Compression;

namespace TrainServe.Core.Data;

/// <summary>Files of text and records: which there are, and their bytes.</summary>
public static class DataFiles
{
    private static readonly string[] Extensions = [".txt", ".jsonl", ".json"];

    /// <summary>Files as they are, directories as the data files in them and below, in the order of their names.</summary>
    /// <exception cref="FileNotFoundException">A path does not exist.</exception>
    /// <exception cref="InvalidDataException">A directory holds no data file.</exception>
    public static IReadOnlyList<string> Expand(IEnumerable<string> paths)
    {
        var files = new List<string>();
        foreach (string path in paths)
        {
            if (!Directory.Exists(path))
            {
                RequireFile(path);
                files.Add(path);
                continue;
            }
            int before = files.Count;
            files.AddRange(Directory.EnumerateFiles(path, "*", SearchOption.AllDirectories).Where(file => KindOf(file) is not null).Order(StringComparer.Ordinal));
            if (files.Count == before)
            {
                throw new InvalidDataException($"{path} holds no file that ends in {string.Join(", ", Extensions)}, or one of these and .gz.");
            }
        }
        return files;
    }

    /// <summary><c>.txt</c>, <c>.jsonl</c> or <c>.json</c>, whether packed or not; null for any other file.</summary>
    internal static string? KindOf(string path)
    {
        string name = path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? path[..^3] : path;
        return Extensions.FirstOrDefault(extension => name.EndsWith(extension, StringComparison.OrdinalIgnoreCase));
    }

    /// <summary>The file's content, unpacked where its name ends in .gz.</summary>
    /// <exception cref="InvalidDataException">The content is of a format that is not read; the message names it.</exception>
    internal static Stream Open(string path)
    {
        RequireFile(path);
        var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16, FileOptions.SequentialScan);
        try
        {
            ContentFormat.RequireReadable(path, file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
        return path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? new GZipStream(file, CompressionMode.Decompress) : file;
    }

    private static void RequireFile(string path)
    {
        if (Directory.Exists(path))
        {
            throw new InvalidDataException($"{path} is a directory; a file is needed.");
        }
        if (!File.Exists(path))
        {
            throw new FileNotFoundException($"{path} does not exist.", path);
        }
    }
}
