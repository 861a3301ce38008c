namespace TrainServe.Training.Data;

/// <summary>The tokens of several files one after the other. Safe for use from several threads until it is disposed.</summary>
public sealed class TokenStream : IDisposable
{
    private readonly TokenShard[] _shards;

    // The first token of shard i is token _starts[i] of the stream.
    private readonly long[] _starts;

    internal TokenStream(IReadOnlyList<TokenShard> shards)
    {
        _shards = [.. shards];
        _starts = new long[_shards.Length + 1];
        for (int i = 0; i < _shards.Length; i++)
        {
            _starts[i + 1] = _starts[i] + _shards[i].Header.Tokens;
        }
    }

    public long Count => _starts[^1];
    public long Documents => _shards.Sum(shard => shard.Header.Documents);

    /// <summary>Copies tokens that start at a position.</summary>
    public void CopyTo(long position, Span<int> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(position + destination.Length, Count, nameof(destination));
        int index = Array.BinarySearch(_starts, position);
        // Several shards can start at one position when some are empty: the last of them holds it.
        index = index >= 0 ? index : ~index - 1;
        while (!destination.IsEmpty)
        {
            int here = (int)Math.Min(destination.Length, _starts[index + 1] - position);
            if (here > 0)
            {
                _shards[index].CopyTo(position - _starts[index], destination[..here]);
            }
            destination = destination[here..];
            position += here;
            index++;
        }
    }

    /// <summary>Numbers the documents of a row from 0: one more at each token that begins one.</summary>
    /// <param name="tokens">The row.</param>
    /// <param name="separator">The token that begins a document; null when the row counts as one.</param>
    /// <param name="segments">Written, as many as there are tokens.</param>
    internal static void Number(ReadOnlySpan<int> tokens, int? separator, Span<int> segments)
    {
        for (int i = 0, segment = 0; i < tokens.Length; i++)
        {
            segment += i > 0 && tokens[i] == separator ? 1 : 0;
            segments[i] = segment;
        }
    }

    public void Dispose()
    {
        foreach (var shard in _shards)
        {
            shard.Dispose();
        }
    }
}
