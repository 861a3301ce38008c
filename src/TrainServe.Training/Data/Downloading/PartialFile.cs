using System.Text.Json;
using TrainServe.Core.IO;

namespace TrainServe.Training.Data.Downloading;

/// <summary><c>FILE.part</c>, what is there of a file so far, and <c>FILE.part.json</c>, of which version of which address it is.</summary>
internal sealed class PartialFile
{
    private readonly string _notePath;

    public PartialFile(string destination) => (Path, _notePath) = (destination + ".part", destination + ".part.json");

    public string Path { get; }
    public long SizeBytes => File.Exists(Path) ? new FileInfo(Path).Length : 0;

    /// <summary>The version that the part is of; null where that is not known.</summary>
    public PartialVersion? Version
    {
        get
        {
            try
            {
                return File.Exists(_notePath) ? JsonFile.Read<PartialVersion>(_notePath, JsonFile.SnakeCase) : null;
            }
            catch (InvalidDataException)
            {
                // A note that was cut off says nothing.
                return null;
            }
        }
    }

    /// <summary>Begins anew.</summary>
    public void Begin(PartialVersion version)
    {
        File.Delete(Path);
        JsonFile.Write(_notePath, version, JsonFile.SnakeCase);
    }

    public void Remove()
    {
        File.Delete(Path);
        File.Delete(_notePath);
    }

    /// <summary>Puts the finished file in its place, durably.</summary>
    public void MoveTo(string destination)
    {
        DurableFile.Sync(Path);
        File.Move(Path, destination);
        DurableFile.SyncDirectory(System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(destination))!);
        File.Delete(_notePath);
    }
}

/// <param name="Url">The address.</param>
/// <param name="Validator">The strong ETag or the Last-Modified date, as If-Range takes it; null where the server gave none.</param>
internal sealed record PartialVersion(string Url, string? Validator);
