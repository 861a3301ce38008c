using TrainServe.Core.IO;
using TrainServe.Core.Packaging;

namespace TrainServe.Training.Checkpointing;

/// <summary>A saved state of training whose every byte was checked.</summary>
public sealed class Checkpoint
{
    public const string StateFile = "state.json";

    private Checkpoint(string directory, CheckpointManifest manifest) => (Directory, Manifest) = (directory, manifest);

    public string Directory { get; }
    public CheckpointManifest Manifest { get; }
    public long Step => Manifest.Step;

    /// <summary>Opens a checkpoint and checks every file against its manifest.</summary>
    /// <exception cref="InvalidDataException">It is incomplete or damaged; the message names file and, of weights, the tensor.</exception>
    public static Checkpoint OpenVerified(string directory)
    {
        string manifestPath = Path.Combine(directory, CheckpointManifest.FileName);
        if (!File.Exists(manifestPath))
        {
            throw new InvalidDataException($"{directory} has no {CheckpointManifest.FileName}: it was not completed.");
        }
        var manifest = JsonFile.Read<CheckpointManifest>(manifestPath, JsonFile.SnakeCase);
        if (manifest.SchemaVersion is < 1 or > CheckpointManifest.CurrentSchemaVersion)
        {
            throw new InvalidDataException($"{manifestPath}: schema_version is {manifest.SchemaVersion}; this build reads up to {CheckpointManifest.CurrentSchemaVersion}.");
        }
        foreach (var file in manifest.Files)
        {
            Verify(directory, manifest, file);
        }
        return new Checkpoint(directory, manifest);
    }

    public T ReadState<T>() => JsonFile.Read<T>(Path.Combine(Directory, StateFile), JsonFile.SnakeCase);

    public SafeTensorsReader OpenTensors(string file) => SafeTensorsReader.Open(Path.Combine(Directory, file));

    private static void Verify(string directory, CheckpointManifest manifest, ManifestFile file)
    {
        string path = Path.Combine(directory, file.Path);
        if (Path.GetFileName(file.Path) != file.Path)
        {
            throw new InvalidDataException($"{Path.Combine(directory, CheckpointManifest.FileName)} names {file.Path}, which is not a file beside it.");
        }
        var info = new FileInfo(path);
        if (!info.Exists)
        {
            throw new InvalidDataException($"{path} is missing.");
        }
        if (info.Length != file.SizeBytes)
        {
            throw new InvalidDataException($"{path} has {info.Length} bytes where {CheckpointManifest.FileName} says {file.SizeBytes}.");
        }
        if (FileHash.OfFile(path) != file.Sha256)
        {
            string tensor = manifest.Tensors.TryGetValue(file.Path, out var tensors) && DamagedTensor(path, tensors) is { } name ? $" in its tensor {name}" : "";
            throw new InvalidDataException($"{path} was changed{tensor}: its SHA-256 is not the one in {CheckpointManifest.FileName}.");
        }
    }

    private static string? DamagedTensor(string path, IReadOnlyDictionary<string, string> hashes)
    {
        try
        {
            using var reader = SafeTensorsReader.Open(path);
            return hashes.FirstOrDefault(tensor => !reader.Entries.ContainsKey(tensor.Key) || FileHash.OfBytes(reader.Bytes(tensor.Key)) != tensor.Value).Key;
        }
        catch (InvalidDataException)
        {
            // The damage is in the header: there is no tensor to name.
            return null;
        }
    }
}
