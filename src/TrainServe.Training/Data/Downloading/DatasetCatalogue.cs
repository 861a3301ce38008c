using System.Text.RegularExpressions;
using YamlDotNet.Core;
using YamlDotNet.Serialization;
using YamlDotNet.Serialization.NamingConventions;

namespace TrainServe.Training.Data.Downloading;

/// <summary>One file of a public data set.</summary>
public sealed record DatasetFile
{
    /// <summary>http or https.</summary>
    public string Url { get; init; } = "";

    /// <summary>What the file is called here.</summary>
    public string Name { get; init; } = "";

    /// <summary>64 hexadecimal digits; empty where the catalogue knows none. Then the first download is trusted and its hash kept beside the file.</summary>
    public string Sha256 { get; init; } = "";

    /// <summary>0 where it is not known.</summary>
    public long SizeBytes { get; init; }
}

/// <summary>A public data set.</summary>
public sealed record Dataset
{
    public string Description { get; init; } = "";
    public string Licence { get; init; } = "";

    /// <summary>Where people read about it.</summary>
    public string Homepage { get; init; } = "";

    /// <summary>What the files hold.</summary>
    public string Format { get; init; } = "";

    /// <summary>What it is for: pretrain, sft, preferences, reinforcement, evaluation.</summary>
    public string Stage { get; init; } = "";
    public List<DatasetFile> Files { get; init; } = [];
}

/// <summary><c>models/datasets.yaml</c>: public data sets by name.</summary>
public sealed partial class DatasetCatalogue
{
    private DatasetCatalogue(IReadOnlyDictionary<string, Dataset> datasets, string path) => (Datasets, Path) = (datasets, path);

    public IReadOnlyDictionary<string, Dataset> Datasets { get; }
    public string Path { get; }

    /// <exception cref="ArgumentException">There is no such data set; the message lists those that there are.</exception>
    public Dataset this[string name] => Datasets.TryGetValue(name, out var dataset) ? dataset
        : throw new ArgumentException($"'{name}' is not in {Path}; there are {string.Join(", ", Datasets.Keys)}.", nameof(name));

    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is not such a catalogue; the message names the place.</exception>
    public static DatasetCatalogue Read(string path)
    {
        if (!File.Exists(path))
        {
            throw new FileNotFoundException($"{path} does not exist.", path);
        }
        Dictionary<string, Dataset>? datasets;
        try
        {
            datasets = new DeserializerBuilder().WithNamingConvention(UnderscoredNamingConvention.Instance).WithDuplicateKeyChecking().Build()
                .Deserialize<Dictionary<string, Dataset>?>(File.ReadAllText(path));
        }
        catch (YamlException error)
        {
            throw new InvalidDataException($"{path}:{error.Start.Line}: {(error.InnerException ?? error).Message.TrimEnd('.')}.", error);
        }
        if (datasets is null || datasets.Count == 0)
        {
            throw new InvalidDataException($"{path} lists no data set.");
        }
        foreach (var (name, dataset) in datasets)
        {
            Check(path, name, dataset);
        }
        return new DatasetCatalogue(datasets, path);
    }

    /// <summary>The nearest <c>models/datasets.yaml</c>, from the working directory upwards and then from the program's.</summary>
    /// <exception cref="FileNotFoundException">There is none.</exception>
    public static string Find()
    {
        foreach (string start in (ReadOnlySpan<string>)[Directory.GetCurrentDirectory(), AppContext.BaseDirectory])
        {
            for (var directory = new DirectoryInfo(start); directory is not null; directory = directory.Parent)
            {
                string candidate = System.IO.Path.Combine(directory.FullName, "models", "datasets.yaml");
                if (File.Exists(candidate))
                {
                    return candidate;
                }
            }
        }
        throw new FileNotFoundException("There is no models/datasets.yaml in this directory or above it; name one with --catalogue.");
    }

    private static void Check(string path, string name, Dataset dataset)
    {
        if (dataset is null || dataset.Files.Count == 0)
        {
            throw new InvalidDataException($"{path}: {name} has no files.");
        }
        foreach (var file in dataset.Files)
        {
            string? fault = !Uri.TryCreate(file.Url, UriKind.Absolute, out var url) || url.Scheme is not ("http" or "https") ? $"the url '{file.Url}', which must be http or https"
                : !PlainName().IsMatch(file.Name) ? $"the name '{file.Name}', which must be letters, digits, dots, dashes and underscores, and begin with a letter or digit"
                : file.Sha256.Length > 0 && !Sha256().IsMatch(file.Sha256) ? $"the sha256 '{file.Sha256}', which must be 64 lower-case hexadecimal digits, or empty"
                : file.SizeBytes < 0 ? $"the size_bytes {file.SizeBytes}, which must not be negative" : null;
            if (fault is not null)
            {
                throw new InvalidDataException($"{path}: a file of {name} has {fault}.");
            }
        }
        if (dataset.Files.GroupBy(file => file.Name, StringComparer.OrdinalIgnoreCase).FirstOrDefault(group => group.Count() > 1) is { } twice)
        {
            throw new InvalidDataException($"{path}: {name} has two files named {twice.Key}.");
        }
    }

    [GeneratedRegex("^[A-Za-z0-9][A-Za-z0-9._-]*$", RegexOptions.NonBacktracking)]
    private static partial Regex PlainName();

    [GeneratedRegex("^[0-9a-f]{64}$", RegexOptions.NonBacktracking)]
    private static partial Regex Sha256();
}
