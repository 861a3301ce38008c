using TrainServe.Core;
using TrainServe.Core.Data;
using TrainServe.Core.Packaging;
using TrainServe.Training.Data;
using TrainServe.Training.Loops;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.Pretraining;

/// <summary>The packed sources of a pretraining run.</summary>
internal sealed class RunData : IDisposable
{
    private const string PackedDirectory = "data";
    private readonly List<PackedDataSet> _sets = [];
    private readonly List<string> _names = [];
    private double[] _weights = [];
    private int? _separator;

    /// <summary>Opens packed data, and packs text into the run's own directory, or uses what an earlier session packed there.</summary>
    /// <exception cref="RecipeException">A source changed since the run was begun.</exception>
    public static RunData Open(PretrainingDataSection section, IReadOnlyList<DataSourceSection> sources, RunTokenizer tokenizer, string workDirectory, Action<string> note, CancellationToken cancellationToken)
    {
        var data = new RunData();
        try
        {
            foreach (var source in sources)
            {
                string directory = PackedDataSet.IsOne(source.Path) ? source.Path : Pack(section, source, tokenizer, workDirectory, note, cancellationToken);
                data._sets.Add(PackedDataSet.Open(directory, tokenizer.Tokenizer.Sha256));
                data._names.Add(source.Name!);
            }
            // The packer puts it before every document.
            data._separator = section.SeparateDocuments ? tokenizer.Tokenizer.Special.BosId : null;
            data._weights = [.. sources.Select((source, index) => source.Weight ?? data._sets[index].Train.Count)];
            return data;
        }
        catch
        {
            data.Dispose();
            throw;
        }
    }

    public RowMixture Mixture(int columns, ulong seed) =>
        new([.. _sets.Select((set, index) => new WindowSource(_names[index], set.Train, columns, seed, index, _separator))], _weights, columns);

    public IReadOnlyList<ValidationSource> Validation(int columns, int maxRows, int rowsPerBatch) =>
        [.. _sets.Select((set, index) => (set, index)).Where(pair => pair.set.Validation.Count >= 2).Select(pair => new ValidationSource(_names[pair.index], _weights[pair.index],
            () => ValidationWindows.Batches(_names[pair.index], pair.set.Validation, columns, maxRows, rowsPerBatch, _separator))
        {
            TokensPerByte = (double)pair.set.Validation.Count / pair.set.Manifest.Validation.TextBytes,
        })];

    public IReadOnlyList<SourceSummary> Summary() =>
        [.. _sets.Select((set, index) => new SourceSummary(_names[index], _weights[index] / _weights.Sum(), set.Train.Count, set.Validation.Count))];

    /// <summary>Hash of each source's tokens, by name.</summary>
    public Dictionary<string, string> Identity() => _sets.Select((set, index) => (Name: _names[index], Hash: set.Manifest.ContentSha256())).ToDictionary(StringComparer.Ordinal);

    public IReadOnlyList<DataSource> Lineage() =>
        [.. _sets.Select((set, index) => new DataSource(_names[index], set.Manifest.ContentSha256(), set.Train.Count, _weights[index] / _weights.Sum()))];

    public void Dispose() => _sets.ForEach(set => set.Dispose());

    private static string Pack(PretrainingDataSection section, DataSourceSection source, RunTokenizer tokenizer, string workDirectory, Action<string> note, CancellationToken cancellationToken)
    {
        string directory = Path.Combine(workDirectory, PackedDirectory, source.Name!);
        if (PackedDataSet.IsOne(directory))
        {
            RequireUnchanged(PackedDataManifest.Read(directory), source, directory);
            return directory;
        }
        Directory.CreateDirectory(Path.GetDirectoryName(directory)!);
        var options = new PackOptions { ValidationRule = section.ValidationRule, ValidationFraction = section.ValidationFraction, SkipBadRecords = section.SkipBadRecords };
        var manifest = new DataPacker(tokenizer.Tokenizer, options).Pack([source.Path], tokenizer.FilesDirectory, directory, cancellationToken);
        note($"{source.Name}: {manifest.Train.Documents + manifest.Validation.Documents:N0} documents were packed into {manifest.Train.Tokens:N0} tokens to train on and {manifest.Validation.Tokens:N0} to validate on{(manifest.SkippedRecords > 0 ? $"; {manifest.SkippedRecords:N0} records were left out" : "")}.");
        return directory;
    }

    private static void RequireUnchanged(PackedDataManifest manifest, DataSourceSection source, string directory)
    {
        var now = DataPacker.Describe(DataFiles.Expand([source.Path]));
        if (manifest.Files.Concat(now).FirstOrDefault(file => !now.Contains(file) || !manifest.Files.Contains(file)) is { } changed)
        {
            throw new RecipeException($"{source.Path}: {changed.Name} is not what the run was begun with ({directory}). Undo that, or choose another output directory.");
        }
    }
}
