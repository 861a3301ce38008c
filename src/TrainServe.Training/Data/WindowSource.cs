using System.Globalization;
using TrainServe.Core.Random;

namespace TrainServe.Training.Data;

/// <summary>Rows of one token stream: windows of T + 1 tokens side by side, in another order and with another beginning each epoch.</summary>
/// <remarks>Documents follow each other in a row. They attend to each other, as in GPT-2's training, unless the token that begins each of them is given.</remarks>
public sealed class WindowSource : IRowSource
{
    private readonly TokenStream _tokens;
    private readonly ulong _seed;
    private readonly int _number;
    private readonly int _columns;
    private readonly int? _separator;

    /// <param name="name">For messages.</param>
    /// <param name="tokens">The stream.</param>
    /// <param name="columns">T.</param>
    /// <param name="seed">The run's.</param>
    /// <param name="number">The source's, so that no two sources have one order.</param>
    /// <param name="separator">The token that begins a document, where documents are to be kept apart.</param>
    /// <exception cref="InvalidDataException">The stream is shorter than one row.</exception>
    public WindowSource(string name, TokenStream tokens, int columns, ulong seed, int number, int? separator = null)
    {
        if (tokens.Count < columns + 1)
        {
            throw new InvalidDataException($"{name} has {tokens.Count} tokens to train on; a row of {columns} needs {columns + 1}. Give more text, or lower data.sequence_length.");
        }
        (Name, _tokens, _columns, _seed, _number, _separator) = (name, tokens, columns, seed, number, separator);
        // As many as fit whatever the beginning; one at least.
        RowsPerEpoch = Math.Max(1, (tokens.Count - columns) / columns);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public long RowsPerEpoch { get; }

    /// <inheritdoc/>
    public bool SeparatesTexts => _separator is not null;

    /// <inheritdoc/>
    public string Read(long row, Span<int> inputs, Span<int> targets, Span<int> segments)
    {
        var (epoch, place) = Math.DivRem(row, RowsPerEpoch);
        long room = Math.Min(_tokens.Count - (RowsPerEpoch * _columns + 1), _columns - 1);
        var offset = new PhiloxRandom(_seed, RandomStreams.Of(RandomPurpose.RowOffset, epoch, _number));
        long window = new IndexPermutation(RowsPerEpoch, _seed, RandomStreams.Of(RandomPurpose.RowOrder, epoch, _number))[place];
        long start = offset.NextInt32((int)room + 1) + window * _columns;
        _tokens.CopyTo(start, inputs);
        _tokens.CopyTo(start + 1, targets);
        TokenStream.Number(inputs, _separator, segments);
        return string.Create(CultureInfo.InvariantCulture, $"{Name}#{row}");
    }
}
