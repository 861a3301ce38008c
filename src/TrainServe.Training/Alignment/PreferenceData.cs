using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.Core.Packaging;
using TrainServe.Core.Tokenization;
using TrainServe.Training.Data;
using TrainServe.Training.Loops;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.Alignment;

/// <summary>A source's pairs, divided into training and validation.</summary>
public sealed record PairSource(string Name, double? Weight, IReadOnlyList<EncodedPair> Train, IReadOnlyList<EncodedPair> Validation)
{
    /// <summary>Pairs of which a side was too long.</summary>
    public int OverLong { get; init; }
    public required BadRecords Bad { get; init; }
}

/// <summary>The preference pairs of a run, encoded and divided.</summary>
public sealed class PreferenceData
{
    private readonly int _columns;

    /// <param name="section">What to read and how.</param>
    /// <param name="sources">Files.</param>
    /// <param name="template">Makes the tokens.</param>
    /// <param name="columns">Most tokens of a prompt with an answer; a pair of which either side is longer is left out and counted.</param>
    /// <param name="cancellationToken">Stops the reading.</param>
    /// <exception cref="InvalidDataException">A file cannot be used, or no pair of a source is short enough.</exception>
    public PreferenceData(PreferenceDataSection section, IReadOnlyList<DataSourceSection> sources, ChatTemplate template, int columns, CancellationToken cancellationToken = default)
    {
        _columns = columns;
        var encoder = new PairEncoder(template);
        Sources = [.. sources.Select(source => Read(section, source, encoder, cancellationToken))];
    }

    public IReadOnlyList<PairSource> Sources { get; }
    public bool HasValidation => Sources.Any(source => source.Validation.Count > 0);

    /// <summary>The order in which pairs are learned.</summary>
    public ExampleOrder Order(ulong seed) => new([.. Sources.Select(source => source.Train.Count)], Weights(), seed);

    public IReadOnlyList<EncodedPair> Take(ExampleOrder order, long first, int count) =>
        [.. Enumerable.Range(0, count).Select(offset => order[first + offset]).Select(place => Sources[place.Source].Train[place.Example])];

    public IReadOnlyList<SourceSummary> Summary()
    {
        var shares = Shares();
        return [.. Sources.Select((source, index) => new SourceSummary(source.Name, shares[index], Tokens(source.Train), Tokens(source.Validation)))];
    }

    /// <summary>Sentences about what became of each source.</summary>
    public IEnumerable<string> Notes() => Sources.Select(source =>
        string.Create(CultureInfo.InvariantCulture, $"{source.Name}: {source.Train.Count} pairs to train on, {source.Validation.Count} held out by their prompts; {source.OverLong} left out because a side is longer than {_columns} tokens.")
        + (source.Bad.Skipped > 0 ? $" {source.Bad}." : ""));

    /// <summary>Hash of each source's tokens, by name: it changes with files, tokenizer, template and rules.</summary>
    public Dictionary<string, string> Identity() => Sources.ToDictionary(source => source.Name, Sha256, StringComparer.Ordinal);

    public IReadOnlyList<DataSource> Lineage()
    {
        var shares = Shares();
        return [.. Sources.Select((source, index) => new DataSource(source.Name, Sha256(source), Tokens(source.Train), shares[index]))];
    }

    /// <summary>The first pairs in readable form.</summary>
    public string Preview(ExampleOrder order, TextTokenizer tokenizer) => string.Concat(Take(order, 0, (int)Math.Min(2, order.Count)).Select(pair =>
        $"prompt   {tokenizer.Decode(pair.Chosen.Ids.AsSpan(0, pair.Chosen.PromptLength), skipSpecial: false)}\nchosen   {tokenizer.Decode(pair.Chosen.AnswerIds, skipSpecial: false)}\nrejected {tokenizer.Decode(pair.Rejected.AnswerIds, skipSpecial: false)}\n"));

    private static string Sha256(PairSource source)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var side in new[] { source.Train, source.Validation })
        {
            foreach (var pair in side)
            {
                hash.AppendData(MemoryMarshal.AsBytes((ReadOnlySpan<int>)[pair.Chosen.PromptLength, pair.Chosen.Ids.Length, pair.Rejected.Ids.Length]));
                hash.AppendData(MemoryMarshal.AsBytes(pair.Chosen.Ids.AsSpan()));
                hash.AppendData(MemoryMarshal.AsBytes(pair.Rejected.Ids.AsSpan()));
                hash.AppendData(MemoryMarshal.AsBytes((ReadOnlySpan<double>)[pair.Margin]));
            }
            hash.AppendData([0xFF]);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static long Tokens(IEnumerable<EncodedPair> pairs) => pairs.Sum(pair => (long)pair.Chosen.Ids.Length + pair.Rejected.Ids.Length);

    private PairSource Read(PreferenceDataSection section, DataSourceSection source, PairEncoder encoder, CancellationToken cancellationToken)
    {
        var bad = section.SkipBadRecords ? BadRecords.Lenient() : BadRecords.Strict();
        List<EncodedPair> train = [], validation = [];
        int overLong = 0;
        foreach (var pair in PreferenceReader.ReadAll([source.Path], bad).Where(pair => PromptSplit.IsInPart(pair.Prompt, section.PartFrom, section.PartTo)))
        {
            cancellationToken.ThrowIfCancellationRequested();
            var encoded = encoder.Encode(pair);
            if (encoded.Columns > _columns)
            {
                overLong++;
                continue;
            }
            (PromptSplit.IsHeldOut(pair.Prompt, section.ValidationFraction) ? validation : train).Add(encoded);
        }
        return train.Count > 0
            ? new PairSource(source.Name!, source.Weight, train, validation) { OverLong = overLong, Bad = bad }
            : throw new InvalidDataException($"{source.Path} has no pair to train on: {overLong} are longer than {_columns} tokens and {validation.Count} are held out.");
    }

    private double[]? Weights() => Sources.All(source => source.Weight is null) ? null : [.. Sources.Select(source => source.Weight ?? 0)];

    private double[] Shares()
    {
        double[] parts = Weights() ?? [.. Sources.Select(source => (double)source.Train.Count)];
        return [.. parts.Select(part => part / parts.Sum())];
    }
}
