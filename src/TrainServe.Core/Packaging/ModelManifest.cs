using System.Text.Json;
using System.Text.Json.Serialization;
using TrainServe.Core.IO;

namespace TrainServe.Core.Packaging;

/// <summary>A file of a model directory.</summary>
/// <param name="Path">Relative to the directory, with forward slashes.</param>
/// <param name="Sha256">Lower-case hexadecimal.</param>
public sealed record ManifestFile(string Path, long SizeBytes, string Sha256);

/// <summary>A file, shard or data set that training read.</summary>
public sealed record DataSource(string Name, string Sha256, long? Tokens = null, double? Weight = null);

/// <summary>The model that this one was made from.</summary>
/// <param name="WeightsSha256">Hash of its model.safetensors, which an export or an evaluation does not change.</param>
/// <param name="ManifestSha256">Hash of its manifest.json: what older manifests have in place of the weights' hash.</param>
public sealed record ParentModel(string Name, string? WeightsSha256 = null, string? ManifestSha256 = null)
{
    /// <summary>The hash that is there.</summary>
    [JsonIgnore]
    public string Sha256 => WeightsSha256 ?? ManifestSha256 ?? "";
}

/// <summary>Where a model comes from: enough to make it again.</summary>
public sealed record Lineage
{
    /// <summary>import, init, pretrain, sft, reward, ppo, dpo, grpo...</summary>
    public required string Stage { get; init; }
    public ParentModel? Parent { get; init; }

    /// <summary>The model whose weights these are, rounded to bfloat16; everything else here tells how that one was made.</summary>
    public ParentModel? RoundedFrom { get; init; }
    public IReadOnlyList<DataSource> Data { get; init; } = [];
    public string? RecipeName { get; init; }
    public string? RecipeSha256 { get; init; }
    public ulong? Seed { get; init; }
    public long? Steps { get; init; }
    public long? Tokens { get; init; }

    /// <summary>Losses and counts that the stage reported at its end, by name.</summary>
    public IReadOnlyDictionary<string, double> Results { get; init; } = new Dictionary<string, double>(StringComparer.Ordinal);
    public string CodeVersion { get; init; } = Packaging.CodeVersion.Current;
}

/// <summary><c>manifest.json</c>: what a model directory holds, byte for byte, and where it comes from.</summary>
public sealed record ModelManifest
{
    public const string FileName = "manifest.json";
    public const int CurrentSchemaVersion = 1;

    public int SchemaVersion { get; init; } = CurrentSchemaVersion;
    public required DateTimeOffset Created { get; init; }
    public required IReadOnlyList<ManifestFile> Files { get; init; }
    public required Lineage Lineage { get; init; }

    /// <summary>One for each exported precision.</summary>
    public IReadOnlyList<ParityCertificate> Certificates { get; init; } = [];

    /// <summary>Results of <c>trainserve evaluate</c>, by task.</summary>
    public IReadOnlyDictionary<string, JsonElement>? Evaluations { get; init; }

    public ManifestFile? File(string path) => Files.FirstOrDefault(file => file.Path == path);

    public ParityCertificate? Certificate(string precision) => Certificates.FirstOrDefault(certificate => certificate.Precision == precision);

    /// <exception cref="FileNotFoundException">The directory has no manifest.</exception>
    /// <exception cref="InvalidDataException">The manifest is not one, or is of a newer schema.</exception>
    public static ModelManifest Read(string path)
    {
        var manifest = JsonFile.Read<ModelManifest>(path, JsonFile.SnakeCase);
        if (manifest.SchemaVersion is < 1 or > CurrentSchemaVersion)
        {
            throw new InvalidDataException($"{path}: schema_version is {manifest.SchemaVersion}; this build reads up to {CurrentSchemaVersion}.");
        }
        return manifest;
    }

    public void Write(string path) => JsonFile.Write(path, this, JsonFile.SnakeCase);
}
