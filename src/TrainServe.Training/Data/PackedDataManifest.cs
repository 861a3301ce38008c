using TrainServe.Core.IO;
using TrainServe.Core.Packaging;

namespace TrainServe.Training.Data;

/// <summary>A token file of a split.</summary>
/// <param name="Path">Relative to the manifest's directory.</param>
public sealed record ShardEntry(string Path, long Tokens, long Documents, long SizeBytes, string Sha256);

/// <summary>One side of the division into training and validation.</summary>
/// <param name="TextBytes">UTF-8 bytes of the text that these tokens encode, for bits per byte.</param>
public sealed record DataSplit(long Tokens, long Documents, long TextBytes, IReadOnlyList<ShardEntry> Shards);

/// <summary>A file that was packed.</summary>
/// <param name="Weight">How often its texts are trained on, where that is not once.</param>
public sealed record PackedFile(string Name, long SizeBytes, string Sha256, double? Weight = null);

/// <summary><c>shards.json</c>: what a directory of packed data holds.</summary>
public sealed record PackedDataManifest
{
    public const string FileName = "shards.json";
    public const int CurrentSchemaVersion = 1;

    public int SchemaVersion { get; init; } = CurrentSchemaVersion;

    /// <summary>Of the tokenizer.json that made the tokens.</summary>
    public required string TokenizerSha256 { get; init; }
    public required int VocabSize { get; init; }

    /// <summary>Never <see cref="ValidationRule.Auto"/>.</summary>
    public required ValidationRule ValidationRule { get; init; }
    public required double ValidationFraction { get; init; }
    public required IReadOnlyList<PackedFile> Files { get; init; }

    /// <summary>Records that could not be used and were left out.</summary>
    public long SkippedRecords { get; init; }
    public required DataSplit Train { get; init; }
    public required DataSplit Validation { get; init; }

    /// <exception cref="FileNotFoundException">The directory holds no packed data.</exception>
    /// <exception cref="InvalidDataException">The manifest is damaged.</exception>
    public static PackedDataManifest Read(string directory)
    {
        string path = Path.Combine(directory, FileName);
        var manifest = JsonFile.Read<PackedDataManifest>(path, JsonFile.SnakeCase);
        return manifest.SchemaVersion is >= 1 and <= CurrentSchemaVersion ? manifest
            : throw new InvalidDataException($"{path}: schema_version is {manifest.SchemaVersion}; this build reads up to {CurrentSchemaVersion}.");
    }

    public void Write(string directory) => JsonFile.Write(Path.Combine(directory, FileName), this, JsonFile.SnakeCase);

    /// <summary>Identity of the tokens: same shards, same hash, whatever the directory.</summary>
    public string ContentSha256() => FileHash.OfBytes(System.Text.Encoding.ASCII.GetBytes(
        string.Join('\n', Train.Shards.Select(shard => shard.Sha256).Append("validation").Concat(Validation.Shards.Select(shard => shard.Sha256)))));
}
