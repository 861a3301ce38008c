using TrainServe.Core.IO;

namespace TrainServe.Core.Packaging;

/// <summary>Builds a model directory: files are made in a staging folder, and only <see cref="Complete"/> makes them a model.</summary>
/// <remarks>A crash before that leaves a directory without manifest, which nothing serves. Files of a run (checkpoints, metrics) may lie in the same directory.</remarks>
public sealed class ModelPackageWriter : IDisposable
{
    private readonly string _directory;
    private readonly TimeProvider _time;

    /// <param name="directory">Made if it is missing.</param>
    /// <param name="time">For the manifest's time.</param>
    /// <param name="replace">Whether a model that is already there may be replaced, as when a run is resumed.</param>
    /// <exception cref="IOException">The directory already holds a model.</exception>
    public ModelPackageWriter(string directory, TimeProvider time, bool replace = false)
    {
        _directory = Path.TrimEndingDirectorySeparator(Path.GetFullPath(directory));
        _time = time;
        RequireFree(directory, replace);
        Staging = Path.Combine(_directory, ".staging");
        if (Directory.Exists(Staging))
        {
            Directory.Delete(Staging, recursive: true);
        }
        Directory.CreateDirectory(Staging);
    }

    /// <summary>Where the files are to be written, under the paths that they will have in the model.</summary>
    public string Staging { get; }

    /// <exception cref="IOException">The directory already holds a model, or is a file.</exception>
    public static void RequireFree(string directory, bool replace = false)
    {
        if (File.Exists(directory))
        {
            throw new IOException($"{directory} is a file; a directory is needed.");
        }
        // Weights without a manifest are somebody else's model.
        if (!replace && (File.Exists(Path.Combine(directory, ModelManifest.FileName)) || File.Exists(Path.Combine(directory, ModelPackage.WeightsFile))))
        {
            throw new IOException($"{directory} already holds a model; choose another output directory or remove it.");
        }
    }

    /// <summary>A file's full path in the staging folder; its folder exists.</summary>
    public string PathOf(string relative)
    {
        string path = Path.Combine(Staging, relative);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        return path;
    }

    /// <summary>Hashes every file, moves them into place and writes the manifest last.</summary>
    public ModelPackage Complete(Lineage lineage)
    {
        var files = new List<ManifestFile>();
        foreach (string path in Directory.EnumerateFiles(Staging, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
        {
            files.Add(Describe(Staging, path));
            DurableFile.Sync(path);
        }
        File.Delete(Path.Combine(_directory, ModelManifest.FileName));
        RemoveOldExports();
        foreach (var file in files)
        {
            string destination = Path.Combine(_directory, file.Path);
            Directory.CreateDirectory(Path.GetDirectoryName(destination)!);
            File.Move(Path.Combine(Staging, file.Path), destination, overwrite: true);
            DurableFile.SyncDirectory(Path.GetDirectoryName(destination)!);
        }
        var manifest = new ModelManifest { Created = _time.GetUtcNow(), Files = files, Lineage = lineage };
        manifest.Write(Path.Combine(_directory, ModelManifest.FileName));
        Dispose();
        return ModelPackage.Open(_directory);
    }

    /// <summary>A file's line in the manifest.</summary>
    public static ManifestFile Describe(string root, string path) =>
        new(Path.GetRelativePath(root, path).Replace('\\', '/'), new FileInfo(path).Length, FileHash.OfFile(path));

    public void Dispose()
    {
        if (Directory.Exists(Staging))
        {
            Directory.Delete(Staging, recursive: true);
        }
    }

    // An export belongs to the weights that it was made from.
    private void RemoveOldExports()
    {
        string exports = Path.Combine(_directory, "onnx");
        if (Directory.Exists(exports))
        {
            Directory.Delete(exports, recursive: true);
        }
    }
}
