using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using TrainServe.Core.Chat;
using TrainServe.Core.Tokenization;

namespace TrainServe.Core.Packaging;

/// <summary>A model directory in Hugging Face's layout: the one contract between training and serving.</summary>
/// <remarks>
/// <c>config.json</c>, <c>generation_config.json</c>, <c>tokenizer.json</c>, <c>tokenizer_config.json</c>, <c>model.safetensors</c>,
/// <c>onnx/PRECISION/model.onnx</c> with its data, and <c>manifest.json</c>. Other files may lie beside them; only what the manifest names is the model.
/// </remarks>
public sealed class ModelPackage
{
    public const string ConfigFile = "config.json", GenerationConfigFile = "generation_config.json", TokenizerFile = "tokenizer.json",
        TokenizerConfigFile = "tokenizer_config.json", WeightsFile = "model.safetensors";

    private ModelPackage(string directory, ModelConfig config, ModelManifest? manifest) => (Directory, Config, Manifest) = (directory, config, manifest);

    /// <summary>Full path, without a slash at its end.</summary>
    public string Directory { get; }

    /// <summary>The directory's own name, which is the model's.</summary>
    public string Name => Path.GetFileName(Directory);
    public ModelConfig Config { get; }

    /// <summary>Null for a directory that others made and that was not imported.</summary>
    public ModelManifest? Manifest { get; }
    public string WeightsPath => Path.Combine(Directory, WeightsFile);
    public string ManifestPath => Path.Combine(Directory, ModelManifest.FileName);

    public static string OnnxDirectory(string precision) => $"onnx/{precision}";
    public string OnnxModelPath(string precision) => Path.Combine(Directory, "onnx", precision, "model.onnx");

    /// <summary>Precisions that were exported, in the order of their certificates.</summary>
    public IEnumerable<string> Precisions => Manifest?.Certificates.Select(certificate => certificate.Precision) ?? [];

    /// <summary>Opens a directory and reads config and manifest; checks no hash.</summary>
    /// <exception cref="DirectoryNotFoundException">There is no such directory.</exception>
    /// <exception cref="FileNotFoundException">It has no config.json.</exception>
    /// <exception cref="InvalidDataException">Config or manifest break a rule.</exception>
    public static ModelPackage Open(string directory)
    {
        string full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(directory));
        if (!System.IO.Directory.Exists(full))
        {
            throw new DirectoryNotFoundException($"{directory} does not exist or is not a directory.");
        }
        var config = ModelConfig.Read(Path.Combine(full, ConfigFile));
        string manifest = Path.Combine(full, ModelManifest.FileName);
        return new ModelPackage(full, config, File.Exists(manifest) ? ModelManifest.Read(manifest) : null);
    }

    /// <summary>Opens a directory and checks that every file is, byte for byte, what its manifest says.</summary>
    /// <exception cref="InvalidDataException">There is no manifest, or a file is missing, changed, or outside the directory; the message names it.</exception>
    public static ModelPackage OpenVerified(string directory)
    {
        var package = Open(directory);
        package.Verify();
        return package;
    }

    /// <summary>Opens a directory and checks its files where it has a manifest; a directory that others made has none.</summary>
    /// <exception cref="InvalidDataException">A file is not what the manifest says.</exception>
    public static ModelPackage OpenCheckedIfListed(string directory)
    {
        var package = Open(directory);
        if (package.Manifest is not null)
        {
            package.Verify();
        }
        return package;
    }

    /// <inheritdoc cref="OpenVerified"/>
    public void Verify()
    {
        var manifest = Manifest ?? throw new InvalidDataException($"{Directory} has no {ModelManifest.FileName}, so nothing says what it should hold.");
        foreach (string needed in (ReadOnlySpan<string>)[ConfigFile, TokenizerFile, TokenizerConfigFile, WeightsFile])
        {
            if (manifest.File(needed) is null)
            {
                throw new InvalidDataException($"{ManifestPath} does not list {needed}.");
            }
        }
        var files = manifest.Files.Select(file => (File: file, Path: ContainedPath.Resolve(Directory, file.Path, ManifestPath))).ToList();
        if (files.Select(item => FaultOfSize(item.File, item.Path)).FirstOrDefault(fault => fault is not null) is { } faultOfSize)
        {
            throw new InvalidDataException(faultOfSize);
        }
        // Hashing is much of what a start takes. The largest files first, so that the cores end together.
        var changed = new ConcurrentBag<ManifestFile>();
        try
        {
            Parallel.ForEach(Partitioner.Create(files.OrderByDescending(item => item.File.SizeBytes), EnumerablePartitionerOptions.NoBuffering), item =>
            {
                if (FileHash.OfFile(item.Path) != item.File.Sha256)
                {
                    changed.Add(item.File);
                }
            });
        }
        catch (AggregateException errors)
        {
            ExceptionDispatchInfo.Throw(errors.InnerExceptions[0]);
        }
        if (!changed.IsEmpty)
        {
            throw new InvalidDataException(string.Join(' ', files.Where(item => changed.Contains(item.File)).Select(item => $"{item.Path} was changed: its SHA-256 is not the one in {ModelManifest.FileName}.")));
        }
    }

    private static string? FaultOfSize(ManifestFile file, string path)
    {
        var info = new FileInfo(path);
        if (!info.Exists)
        {
            return $"{path} is missing; {ModelManifest.FileName} lists it.";
        }
        return info.Length == file.SizeBytes ? null : $"{path} has {info.Length} bytes where {ModelManifest.FileName} says {file.SizeBytes}.";
    }

    /// <summary>Checks that a precision was exported from these weights and proven equal to them.</summary>
    /// <exception cref="InvalidDataException">It was not; the message says what is missing.</exception>
    public ParityCertificate RequireCertificate(string precision)
    {
        var certificate = Manifest?.Certificate(precision)
            ?? throw new InvalidDataException($"{Directory} has no certificate for {precision}; make one with: trainserve export --model {Directory} --precision {precision}");
        if (certificate.Failure() is { } failure)
        {
            throw new InvalidDataException($"{ManifestPath}: the certificate for {precision} does not hold: {failure}.");
        }
        string folder = OnnxDirectory(precision);
        foreach (var (path, hash) in new[] { (WeightsFile, certificate.WeightsSha256), ($"{folder}/model.onnx", certificate.GraphSha256), ($"{folder}/model.onnx.data", certificate.DataSha256) })
        {
            if (Manifest.File(path)?.Sha256 != hash)
            {
                throw new InvalidDataException($"{ManifestPath}: the certificate for {precision} was made for another {path}.");
            }
        }
        return certificate;
    }

    public TextTokenizer LoadTokenizer()
    {
        var tokenizer = TextTokenizer.Load(Directory);
        return tokenizer.VocabSize <= Config.VocabSize
            ? tokenizer
            : throw new InvalidDataException($"{Path.Combine(Directory, TokenizerFile)} has {tokenizer.VocabSize} tokens; {ConfigFile} has room for {Config.VocabSize}.");
    }

    public ChatTemplate LoadChatTemplate(TextTokenizer tokenizer) =>
        ChatTemplate.Of(TokenizerConfig.Read(Directory, readTemplateFile: IsPart(TokenizerConfig.TemplateFileName)), Directory, tokenizer);

    /// <summary>What ends a text and how to sample; the defaults where the model has no such file.</summary>
    public GenerationConfig LoadGenerationConfig() =>
        IsPart(GenerationConfigFile) ? GenerationConfig.Read(Path.Combine(Directory, GenerationConfigFile)) : GenerationConfig.Default;

    // What a manifest does not list was not checked and is not the model.
    private bool IsPart(string file) => Manifest is null || Manifest.File(file) is not null;

    public SafeTensorsReader OpenWeights()
    {
        var weights = SafeTensorsReader.Open(WeightsPath);
        try
        {
            weights.RequireWeightsOf(Config);
            return weights;
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }
}
