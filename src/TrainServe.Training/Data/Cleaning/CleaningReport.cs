using System.Globalization;
using System.Text;
using TrainServe.Core.IO;

namespace TrainServe.Training.Data.Cleaning;

/// <summary>A text that was left out.</summary>
/// <param name="Origin">file:line.</param>
/// <param name="Because">The measured value, or the text that it repeats.</param>
/// <param name="Begins">Its first characters.</param>
public sealed record RemovedExample(string Origin, string Because, string Begins);

/// <summary>How many texts one reason left out.</summary>
/// <param name="Reason">A rule's name, <c>exact-duplicate</c> or <c>near-duplicate</c>.</param>
/// <param name="Rule">What the reason is.</param>
/// <param name="Documents">Texts; each is counted at the first reason that it meets.</param>
/// <param name="Bytes">Their UTF-8 bytes.</param>
/// <param name="Examples">The first few.</param>
public sealed record RemovalCount(string Reason, string Rule, long Documents, long Bytes, IReadOnlyList<RemovedExample> Examples);

/// <summary>What a cleaning did.</summary>
public sealed record CleaningReport
{
    public required IReadOnlyList<PackedFile> Inputs { get; init; }
    public required IReadOnlyList<string> Outputs { get; init; }
    public required long DocumentsRead { get; init; }
    public required long BytesRead { get; init; }
    public required long DocumentsKept { get; init; }
    public required long BytesKept { get; init; }

    /// <summary>Records that could not be read and were left out.</summary>
    public required long BadRecords { get; init; }

    /// <summary>Least Jaccard similarity of near-duplicates; null where they were not looked for.</summary>
    public required double? JaccardThreshold { get; init; }
    public required int ShingleWords { get; init; }
    public required int MinHashBands { get; init; }
    public required int MinHashRows { get; init; }

    /// <summary>The probability that a pair exactly at the threshold is found; more similar ones are found more surely.</summary>
    public required double? RecallAtThreshold { get; init; }

    /// <summary>Every rule that was applied, also those that removed nothing.</summary>
    public required IReadOnlyList<RemovalCount> Removed { get; init; }

    /// <summary>For people.</summary>
    public string ToText()
    {
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"kept {DocumentsKept:N0} of {DocumentsRead:N0} texts, {BytesKept:N0} of {BytesRead:N0} bytes");
        if (BadRecords > 0)
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"left out before: {BadRecords:N0} records that cannot be read");
        }
        foreach (var count in Removed.Where(count => count.Documents > 0))
        {
            text.AppendLine().AppendLine(CultureInfo.InvariantCulture, $"{count.Reason}: {count.Documents:N0} texts, {count.Bytes:N0} bytes ({count.Rule})");
            foreach (var example in count.Examples)
            {
                text.AppendLine(CultureInfo.InvariantCulture, $"  {example.Origin}: {example.Because}: {example.Begins}");
            }
        }
        if (Removed.Where(count => count.Documents == 0).Select(count => count.Reason).ToList() is { Count: > 0 } none)
        {
            text.AppendLine().AppendLine(CultureInfo.InvariantCulture, $"nothing was left out by {string.Join(", ", none)}");
        }
        return text.ToString();
    }

    /// <summary>Writes JSON to the path, and the text for people beside it, the name ending in .txt.</summary>
    public void Write(string path)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        JsonFile.Write(path, this, JsonFile.SnakeCase);
        DurableFile.Write(Path.ChangeExtension(path, ".txt"), Encoding.UTF8.GetBytes(ToText()));
    }
}
