using System.IO.Compression;
using System.Text;
using System.Text.Json;
using TrainServe.Core.Data;
using TrainServe.Core.IO;

namespace TrainServe.Training.Data.Cleaning;

/// <summary>Where kept texts go: one file, or a directory with a file for each that was read. It appears whole, at the end, or not at all.</summary>
internal sealed class CleanedOutput : IDisposable
{
    private static readonly string[] FileEndings = [".jsonl", ".jsonl.gz", ".txt", ".txt.gz"];
    private readonly string _output;
    private readonly string _staging;
    private readonly bool _isDirectory;
    private readonly HashSet<string> _names = new(StringComparer.OrdinalIgnoreCase);
    private readonly List<string> _files = [];
    private string? _source;
    private Stream? _stream;

    /// <exception cref="IOException">The output exists already, or cannot be made.</exception>
    public CleanedOutput(string output)
    {
        _output = Path.TrimEndingDirectorySeparator(Path.GetFullPath(output));
        _staging = _output + ".tmp";
        _isDirectory = !FileEndings.Any(ending => _output.EndsWith(ending, StringComparison.OrdinalIgnoreCase));
        if (File.Exists(_output) || (Directory.Exists(_output) && (!_isDirectory || Directory.EnumerateFileSystemEntries(_output).Any())))
        {
            throw new IOException($"{output} exists already; choose another output or remove it.");
        }
        if (Path.Exists(_staging))
        {
            throw new IOException($"{_staging} is in the way: texts are written there first. If an earlier run left it behind, remove it.");
        }
        Directory.CreateDirectory(_isDirectory ? _staging : Path.GetDirectoryName(_output)!);
        if (!_isDirectory)
        {
            Open(_staging, _output);
        }
    }

    /// <summary>For a file beside the output that is gone at the end.</summary>
    public string TemporaryPath => _output + ".shingles.tmp";

    public void Write(Document document)
    {
        if (_isDirectory && document.Origin.Path != _source)
        {
            Close();
            _source = document.Origin.Path;
            string name = NameFor(_source);
            Open(Path.Combine(_staging, name), Path.Combine(_output, name));
        }
        bool isText = _files[^1].Contains(".txt", StringComparison.OrdinalIgnoreCase) && !_isDirectory;
        byte[] bytes = isText ? Encoding.UTF8.GetBytes(document.Text.TrimEnd('\r', '\n') + "\n<|endoftext|>\n")
            : [.. JsonSerializer.SerializeToUtf8Bytes(new { document.Text }, JsonFile.SnakeCaseLine), (byte)'\n'];
        _stream!.Write(bytes);
    }

    /// <summary>Puts the output in its place and gives its files.</summary>
    public IReadOnlyList<string> Complete()
    {
        Close();
        if (_isDirectory)
        {
            if (Directory.Exists(_output))
            {
                Directory.Delete(_output);
            }
            DurableFile.MoveDirectory(_staging, _output);
        }
        else
        {
            File.Move(_staging, _output);
            DurableFile.SyncDirectory(Path.GetDirectoryName(_output)!);
        }
        return _files;
    }

    public void Dispose()
    {
        _stream?.Dispose();
        if (Directory.Exists(_staging))
        {
            Directory.Delete(_staging, recursive: true);
        }
        File.Delete(_staging);
    }

    private void Open(string path, string finalPath)
    {
        var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1 << 16);
        _stream = finalPath.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? new GZipStream(file, CompressionLevel.Optimal) : file;
        _files.Add(finalPath);
    }

    private void Close()
    {
        if (_stream is null)
        {
            return;
        }
        _stream.Dispose();
        _stream = null;
        DurableFile.Sync(_isDirectory ? Path.Combine(_staging, Path.GetFileName(_files[^1])) : _staging);
    }

    // Two files of one name in different directories become name and name-2.
    private string NameFor(string source)
    {
        string name = Path.GetFileName(source);
        foreach (string ending in (ReadOnlySpan<string>)[".gz", ".jsonl", ".json", ".txt"])
        {
            name = name.EndsWith(ending, StringComparison.OrdinalIgnoreCase) ? name[..^ending.Length] : name;
        }
        string free = name;
        for (int number = 2; !_names.Add(free); number++)
        {
            free = FormattableString.Invariant($"{name}-{number}");
        }
        return free + ".jsonl.gz";
    }
}
