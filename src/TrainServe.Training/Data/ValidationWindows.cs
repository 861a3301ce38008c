using System.Globalization;

namespace TrainServe.Training.Data;

/// <summary>Held-out rows of a token stream: windows side by side from its beginning, the same at every measurement.</summary>
public static class ValidationWindows
{
    /// <param name="name">For messages.</param>
    /// <param name="tokens">The stream.</param>
    /// <param name="columns">T.</param>
    /// <param name="maxRows">At most so many rows, spread evenly over the stream; 0 takes all, and the shorter rest at the end.</param>
    /// <param name="rowsPerBatch">Rows computed at once.</param>
    /// <param name="separator">The token that begins a document, where documents are to be kept apart.</param>
    /// <exception cref="InvalidDataException">The stream has no two tokens.</exception>
    public static IEnumerable<TokenBatch> Batches(string name, TokenStream tokens, int columns, int maxRows, int rowsPerBatch, int? separator = null)
    {
        if (tokens.Count < 2)
        {
            throw new InvalidDataException($"{name} has {tokens.Count} tokens to validate on; at least 2 are needed. Raise the validation fraction, or set it to 0.");
        }
        return Read(name, tokens, columns, maxRows, rowsPerBatch, separator);
    }

    private static IEnumerable<TokenBatch> Read(string name, TokenStream tokens, int columns, int maxRows, int rowsPerBatch, int? separator)
    {
        long windows = (tokens.Count - 1) / columns, rows = maxRows > 0 ? Math.Min(maxRows, windows) : windows;
        for (long row = 0; row < rows; row += rowsPerBatch)
        {
            long here = Math.Min(rowsPerBatch, rows - row);
            yield return Batch(name, tokens, [.. Range(row, here).Select(index => index * windows / rows * columns)], columns, separator);
        }
        int rest = (int)(tokens.Count - 1 - windows * columns);
        if (rest > 0 && (maxRows == 0 || windows == 0))
        {
            yield return Batch(name, tokens, [windows * columns], rest, separator);
        }
    }

    private static TokenBatch Batch(string name, TokenStream tokens, long[] starts, int columns, int? separator)
    {
        int[] inputs = new int[starts.Length * columns], targets = new int[starts.Length * columns], segments = new int[starts.Length * columns];
        var window = new int[columns + 1];
        for (int row = 0; row < starts.Length; row++)
        {
            tokens.CopyTo(starts[row], window);
            window.AsSpan(0, columns).CopyTo(inputs.AsSpan(row * columns));
            window.AsSpan(1).CopyTo(targets.AsSpan(row * columns));
            TokenStream.Number(window.AsSpan(0, columns), separator, segments.AsSpan(row * columns, columns));
        }
        return new TokenBatch(starts.Length, columns, inputs, targets, DataCursor.Start(0), string.Create(CultureInfo.InvariantCulture, $"{name}@{starts[0]}"))
        {
            Segments = separator is null ? null : segments,
        };
    }

    private static IEnumerable<long> Range(long start, long count)
    {
        for (long i = 0; i < count; i++)
        {
            yield return start + i;
        }
    }
}
