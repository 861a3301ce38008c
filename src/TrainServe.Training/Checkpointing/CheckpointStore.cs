using System.Globalization;
using System.Text;
using TrainServe.Core.IO;
using TrainServe.Core.Packaging;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.Checkpointing;

/// <summary>The checkpoints of a run: <c>step-N</c> directories, of which each is whole or not there.</summary>
/// <remarks>
/// A save is written and forced to the disk under <c>step-N.tmp</c>, gets its manifest last, and is then renamed; so a crash at any moment leaves the older
/// ones as they were. No order is taken from file times. One process at a time uses a store; see <see cref="RunLock"/>.
/// </remarks>
public sealed class CheckpointStore
{
    private const string Prefix = "step-", Unfinished = ".tmp", LatestFile = "latest";
    private readonly string _directory;

    /// <param name="directory">Made when the first checkpoint is saved.</param>
    public CheckpointStore(string directory) => _directory = Path.GetFullPath(directory);

    /// <summary>Steps of which a directory is there, newest first; whether they are whole is not checked.</summary>
    public IReadOnlyList<long> Steps => !Directory.Exists(_directory) ? []
        : [.. Directory.EnumerateDirectories(_directory, Prefix + "*").Select(StepOf).OfType<long>().OrderDescending()];

    public string DirectoryOf(long step) => Path.Combine(_directory, string.Create(CultureInfo.InvariantCulture, $"{Prefix}{step:D8}"));

    /// <summary>Saves a state.</summary>
    /// <param name="step">Steps done.</param>
    /// <param name="identity">Of the run.</param>
    /// <param name="environment">Of the run.</param>
    /// <param name="tensors">Files of tensors by name.</param>
    /// <param name="state">Everything else; written as JSON.</param>
    /// <exception cref="IOException">The disk is full or failed; every older checkpoint is as it was.</exception>
    public void Save<T>(long step, RunIdentity identity, TrainingEnvironment environment, IReadOnlyDictionary<string, IReadOnlyList<SafeTensor>> tensors, T state)
    {
        string final = DirectoryOf(step), staging = final + Unfinished;
        try
        {
            Remove(staging);
            Directory.CreateDirectory(staging);
            var hashes = new Dictionary<string, IReadOnlyDictionary<string, string>>(StringComparer.Ordinal);
            foreach (var (file, content) in tensors)
            {
                hashes[file] = WriteTensors(Path.Combine(staging, file), content);
            }
            JsonFile.Write(Path.Combine(staging, Checkpoint.StateFile), state, JsonFile.SnakeCase);
            new CheckpointManifest
            {
                Step = step,
                Identity = identity,
                RecipeSha256 = RecipeIdentity.Sha256(identity.Recipe),
                Environment = environment,
                Files = [.. tensors.Keys.Append(Checkpoint.StateFile).Select(file => ModelPackageWriter.Describe(staging, Path.Combine(staging, file)))],
                Tensors = hashes,
            }.Write(Path.Combine(staging, CheckpointManifest.FileName));
            DurableFile.SyncDirectory(staging);
            Publish(staging, final);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            TryRemove(staging);
            string kept = Steps.Count == 0 ? "there is no earlier one" : $"the last one is {DirectoryOf(Steps[0])}";
            throw new IOException($"The checkpoint of step {step} could not be written: {error.Message.TrimEnd('.')}; {kept}. Make room or mend the disk, then go on with --resume.", error);
        }
    }

    /// <summary>The newest checkpoint that is whole.</summary>
    /// <param name="log">Is told of each that is skipped, and why.</param>
    /// <returns>Null when there is none.</returns>
    public Checkpoint? LatestGood(Action<string> log)
    {
        foreach (long step in Steps)
        {
            try
            {
                return Checkpoint.OpenVerified(DirectoryOf(step));
            }
            catch (Exception error) when (error is IOException or InvalidDataException or UnauthorizedAccessException)
            {
                log($"The checkpoint of step {step} is skipped: {error.Message}");
            }
        }
        return null;
    }

    /// <summary>Removes what saves that did not finish left behind.</summary>
    public void RemoveUnfinished()
    {
        if (Directory.Exists(_directory))
        {
            foreach (string path in Directory.EnumerateDirectories(_directory, Prefix + "*" + Unfinished))
            {
                Remove(path);
            }
        }
    }

    /// <summary>Removes every checkpoint but some.</summary>
    public void RemoveExcept(IReadOnlySet<long> steps)
    {
        foreach (long step in Steps.Where(step => !steps.Contains(step)))
        {
            // Renamed first: half a removal must not look like a checkpoint.
            string doomed = DirectoryOf(step) + Unfinished;
            Remove(doomed);
            Directory.Move(DirectoryOf(step), doomed);
            Remove(doomed);
        }
    }

    private static Dictionary<string, string> WriteTensors(string path, IReadOnlyList<SafeTensor> tensors)
    {
        var hashes = new Dictionary<string, string>(StringComparer.Ordinal);
        SafeTensorsWriter.Write(path, [.. tensors.Select(tensor => tensor with
        {
            WriteTo = stream =>
            {
                using var hashing = new HashingStream(stream);
                tensor.WriteTo(hashing);
                hashes[tensor.Name] = hashing.Sha256;
            },
        })]);
        return hashes;
    }

    private void Publish(string staging, string final)
    {
        // A run that went back behind a damaged checkpoint comes to the same step again.
        string replaced = final + ".old" + Unfinished;
        if (Directory.Exists(final))
        {
            Remove(replaced);
            Directory.Move(final, replaced);
        }
        DurableFile.MoveDirectory(staging, final);
        DurableFile.Write(Path.Combine(_directory, LatestFile), Encoding.UTF8.GetBytes(Path.GetFileName(final) + "\n"));
        Remove(replaced);
    }

    private static long? StepOf(string path) =>
        long.TryParse(Path.GetFileName(path).AsSpan(Prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out long step) ? step : null;

    private static void Remove(string path)
    {
        if (Directory.Exists(path))
        {
            Directory.Delete(path, recursive: true);
        }
    }

    private static void TryRemove(string path)
    {
        try
        {
            Remove(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // The failure that led here is the one to report; the next run removes what is left.
        }
    }
}
