using TrainServe.Core.Random;
using TrainServe.Training.Data;

namespace TrainServe.Training.FineTuning;

/// <summary>Rows of packed conversations, packed in another order each epoch. Conversations that share a row do not attend to each other.</summary>
public sealed class ConversationSource : IRowSource
{
    private readonly IReadOnlyList<TrainingConversation> _conversations;
    private readonly int _columns, _padding, _number;
    private readonly ulong? _seed;

    // The rows of each epoch that was asked for, and the number of the first.
    private readonly List<(long First, List<List<int>> Rows)> _epochs = [];

    /// <param name="name">For messages.</param>
    /// <param name="conversations">At least one, none longer than a row.</param>
    /// <param name="columns">T.</param>
    /// <param name="padding">The token that fills rows.</param>
    /// <param name="seed">The run's; null keeps the order of the files, for validation.</param>
    /// <param name="number">The source's.</param>
    /// <exception cref="InvalidDataException">There is no conversation.</exception>
    public ConversationSource(string name, IReadOnlyList<TrainingConversation> conversations, int columns, int padding, ulong? seed, int number)
    {
        if (conversations.Count == 0)
        {
            throw new InvalidDataException($"{name} has no conversation of at most {columns + 1} tokens to train on. Raise data.sequence_length, or set data.over_long to cut.");
        }
        (Name, _conversations, _columns, _padding, _seed, _number) = (name, conversations, columns, padding, seed, number);
        RowsPerEpoch = Epoch(0).Rows.Count;
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public long RowsPerEpoch { get; }

    /// <inheritdoc/>
    public bool SeparatesTexts => true;

    /// <inheritdoc/>
    public string Read(long row, Span<int> inputs, Span<int> targets, Span<int> segments)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(row);
        int epoch = 0;
        while (row >= Epoch(epoch).First + Epoch(epoch).Rows.Count)
        {
            epoch++;
        }
        var texts = Epoch(epoch).Rows[(int)(row - Epoch(epoch).First)];
        int start = 0, segment = 0;
        foreach (int text in texts)
        {
            var conversation = _conversations[text];
            for (int i = 0; i < conversation.Columns; i++)
            {
                inputs[start + i] = conversation.Ids[i];
                targets[start + i] = conversation.LossMask[i + 1] ? conversation.Ids[i + 1] : TokenBatch.Ignored;
            }
            segments.Slice(start, conversation.Columns).Fill(segment++);
            start += conversation.Columns;
        }
        inputs[start..].Fill(_padding);
        targets[start..].Fill(TokenBatch.Ignored);
        segments[start..].Fill(segment);
        return string.Join('+', texts.Select(text => _conversations[text].Origin.ToString()));
    }

    /// <summary>The rows of the first epoch as batches, for validation.</summary>
    public IEnumerable<TokenBatch> Batches(int maxRows, int rowsPerBatch)
    {
        var mixture = new RowMixture([this], [1], _columns);
        long rows = maxRows > 0 ? Math.Min(maxRows, RowsPerEpoch) : RowsPerEpoch;
        var cursor = mixture.Start;
        while (cursor.Rows < rows)
        {
            var batch = mixture.Read(cursor, (int)Math.Min(rowsPerBatch, rows - cursor.Rows));
            cursor = batch.After;
            yield return batch;
        }
    }

    private (long First, List<List<int>> Rows) Epoch(int epoch)
    {
        while (_epochs.Count <= epoch)
        {
            _epochs.Add((_epochs.Count == 0 ? 0 : _epochs[^1].First + _epochs[^1].Rows.Count, PackEpoch(_epochs.Count)));
        }
        return _epochs[epoch];
    }

    private List<List<int>> PackEpoch(int epoch)
    {
        int[] order = [.. Enumerable.Range(0, _conversations.Count)];
        var random = _seed is { } seed ? new PhiloxRandom(seed, RandomStreams.Of(RandomPurpose.PackingOrder, epoch, _number)) : null;
        random?.Shuffle<int>(order);
        var rows = BestFitPacking.Pack([.. order.Select(text => _conversations[text].Columns)], _columns);
        foreach (var row in rows)
        {
            for (int i = 0; i < row.Count; i++)
            {
                row[i] = order[row[i]];
            }
        }
        // The first rows are the fullest; a batch should hold some of all kinds.
        random?.Shuffle(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(rows));
        return rows;
    }
}
