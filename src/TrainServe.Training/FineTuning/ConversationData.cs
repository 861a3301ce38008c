using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.Core.Packaging;
using TrainServe.Training.Data;
using TrainServe.Training.Loops;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.FineTuning;

/// <summary>The conversations of a fine-tuning run, encoded and divided into training and validation.</summary>
internal sealed class ConversationData
{
    private readonly List<Source> _sources = [];
    private readonly int _columns, _padding;

    /// <exception cref="InvalidDataException">A file cannot be used, or nothing of it fits a row.</exception>
    public ConversationData(ConversationDataSection section, IReadOnlyList<DataSourceSection> sources, ChatTemplate template, int columns, int padding, CancellationToken cancellationToken)
    {
        (_columns, _padding) = (columns, padding);
        var encoder = new ConversationEncoder(template, columns, section.OverLong);
        foreach (var source in sources)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var bad = section.SkipBadRecords ? BadRecords.Lenient() : BadRecords.Strict();
            var counts = new LengthCounts();
            List<TrainingConversation> train = [], validation = [];
            foreach (var conversation in ConversationReader.ReadAll([source.Path], bad).Where(conversation => PromptSplit.IsInPart(conversation.Messages, section.PartFrom, section.PartTo)))
            {
                if (encoder.Encode(conversation, counts) is { } encoded)
                {
                    (PromptSplit.IsHeldOut(conversation.Messages, section.ValidationFraction) ? validation : train).Add(encoded);
                }
            }
            _sources.Add(new Source(source.Name!, source.Weight, train, validation, counts, bad));
        }
    }

    public (RowMixture Mixture, IReadOnlyList<ConversationSource> Rows) Mixture(ulong seed)
    {
        ConversationSource[] rows = [.. _sources.Select((source, index) => new ConversationSource(source.Name, source.Train, _columns, _padding, seed, index))];
        return (new RowMixture(rows, Weights(), _columns), rows);
    }

    public IReadOnlyList<ValidationSource> Validation(int maxRows, int rowsPerBatch)
    {
        var weights = Weights();
        return [.. _sources.Select((source, index) => (source, index)).Where(pair => pair.source.Validation.Count > 0).Select(pair =>
        {
            var rows = new ConversationSource(pair.source.Name, pair.source.Validation, _columns, _padding, seed: null, pair.index);
            return new ValidationSource(pair.source.Name, weights[pair.index], () => rows.Batches(maxRows, rowsPerBatch));
        })];
    }

    public IReadOnlyList<SourceSummary> Summary()
    {
        var weights = Weights();
        return [.. _sources.Select((source, index) => new SourceSummary(source.Name, weights[index] / weights.Sum(), Tokens(source.Train), Tokens(source.Validation)))];
    }

    /// <summary>Sentences about what became of each source.</summary>
    public IEnumerable<string> Notes(IReadOnlyList<ConversationSource> rows)
    {
        foreach (var (source, packed) in _sources.Zip(rows))
        {
            long tokens = source.Train.Sum(conversation => (long)conversation.Columns), learned = source.Train.Sum(conversation => (long)conversation.LearnedTokens);
            yield return string.Create(CultureInfo.InvariantCulture, $"{source.Name}: {source.Train.Count} conversations in {packed.RowsPerEpoch} rows, {100.0 * tokens / (packed.RowsPerEpoch * _columns):F1} % full; {100.0 * learned / tokens:F1} % of the tokens are learned; {source.Validation.Count} conversations are held out.");
            if (source.Counts.Dropped + source.Counts.Cut > 0)
            {
                yield return string.Create(CultureInfo.InvariantCulture, $"{source.Name}: of the conversations longer than {_columns + 1} tokens, {source.Counts.Dropped} were left out and {source.Counts.Cut} cut.");
            }
            if (source.Bad.Skipped > 0)
            {
                yield return $"{source.Name}: {source.Bad}.";
            }
        }
    }

    /// <summary>Hash of each source's tokens and masks, by name: it changes with files, tokenizer, template and rules.</summary>
    public Dictionary<string, string> Identity() => _sources.ToDictionary(source => source.Name, source => source.Sha256(), StringComparer.Ordinal);

    public IReadOnlyList<DataSource> Lineage()
    {
        var weights = Weights();
        return [.. _sources.Select((source, index) => new DataSource(source.Name, source.Sha256(), Tokens(source.Train), weights[index] / weights.Sum()))];
    }

    private static long Tokens(IEnumerable<TrainingConversation> conversations) => conversations.Sum(conversation => (long)conversation.Ids.Length);

    private double[] Weights() => [.. _sources.Select(source => source.Weight ?? Tokens(source.Train))];

    private sealed record Source(string Name, double? Weight, IReadOnlyList<TrainingConversation> Train, IReadOnlyList<TrainingConversation> Validation, LengthCounts Counts, BadRecords Bad)
    {
        public string Sha256()
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            foreach (var side in new[] { Train, Validation })
            {
                foreach (var conversation in side)
                {
                    hash.AppendData(MemoryMarshal.AsBytes(conversation.Ids.AsSpan()));
                    hash.AppendData(MemoryMarshal.AsBytes(conversation.LossMask.AsSpan()));
                }
                hash.AppendData([0xFF]);
            }
            return Convert.ToHexStringLower(hash.GetHashAndReset());
        }
    }
}
