using System.Text.Json;
using TrainServe.Core.IO;

namespace TrainServe.Training.Data.SmallWorld;

/// <summary>Writes the files of a small world; the same seed and size give the same bytes.</summary>
public static class SmallWorldWriter
{
    public const string Lists = "lists.jsonl", SpelledLists = "spelled-lists.jsonl", Stories = "stories.jsonl", Drills = "drills.jsonl", Conversations = "conversations.jsonl", Preferences = "preferences.jsonl", Evaluation = "evaluation.jsonl";

    // Line ends are part of the bytes that a seed promises.
    private static readonly byte[] LineEnd = [(byte)'\n'];

    /// <summary>Writes a new directory, whole or not at all.</summary>
    /// <param name="directory">Must not exist, or be empty.</param>
    /// <param name="size">Stories, conversations and drills; twice as many lists, and spelled lists, a quarter as many preference pairs, and an evaluation of 3 in a hundred.</param>
    /// <param name="seed">Decides everything.</param>
    /// <param name="cancellationToken">Stops it; nothing stays.</param>
    /// <returns>The number of lines of each file.</returns>
    /// <exception cref="IOException">The directory is not empty, or the disk is full.</exception>
    public static IReadOnlyDictionary<string, int> Write(string directory, int size, ulong seed, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(size);
        if (Directory.Exists(directory))
        {
            if (Directory.EnumerateFileSystemEntries(directory).Any())
            {
                throw new IOException($"{directory} is not empty; choose another directory, or remove it.");
            }
            Directory.Delete(directory);
        }
        var world = new SmallWorldGenerator(seed);
        string staging = Path.TrimEndingDirectorySeparator(directory) + ".tmp";
        if (Directory.Exists(staging))
        {
            Directory.Delete(staging, recursive: true);
        }
        Directory.CreateDirectory(staging);
        try
        {
            var numbers = Enumerable.Range(0, size);
            var counts = new Dictionary<string, int>(StringComparer.Ordinal)
            {
                [Lists] = WriteLines(Lists, Enumerable.Range(0, 2 * size).Select(world.List)),
                [SpelledLists] = WriteLines(SpelledLists, Enumerable.Range(0, 2 * size).Select(world.SpelledList)),
                [Stories] = WriteLines(Stories, numbers.Select(world.Story)),
                [Drills] = WriteLines(Drills, numbers.Select(world.Drill)),
                [Conversations] = WriteLines(Conversations, numbers.Select(world.Conversation)),
                [Preferences] = WriteLines(Preferences, numbers.Take((size + 3) / 4).Select(world.Preference)),
                [Evaluation] = WriteLines(Evaluation, world.Evaluation(perFamily: Math.Clamp(size / 1000, 4, 100))),
            };
            DurableFile.MoveDirectory(staging, directory);
            return counts;
        }
        catch
        {
            Directory.Delete(staging, recursive: true);
            throw;
        }

        int WriteLines<T>(string name, IEnumerable<T> records)
        {
            string path = Path.Combine(staging, name);
            int count = 0;
            using (var stream = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1 << 16))
            {
                foreach (var record in records)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    JsonSerializer.Serialize(stream, record, JsonFile.SnakeCaseLine);
                    stream.Write(LineEnd);
                    count++;
                }
            }
            DurableFile.Sync(path);
            return count;
        }
    }
}
