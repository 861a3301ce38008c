using TrainServe.TestSupport;
using TrainServe.Training.Data;

namespace TrainServe.Training.Tests.Data;

public sealed class ValidationWindowsTests
{
    [Theory]
    [InlineData(101, 10)]
    [InlineData(104, 10)]
    [InlineData(5, 10)]
    [InlineData(2, 10)]
    public void Every_token_but_the_first_is_measured_exactly_once(int tokens, int columns)
    {
        using var stream = CountingStream.Create(tokens);
        var targets = ValidationWindows.Batches("a", stream.Tokens, columns, maxRows: 0, rowsPerBatch: 3).SelectMany(batch => batch.Targets);
        Assert.Equal(Enumerable.Range(1, tokens - 1), targets);
    }

    [Fact]
    public void A_limited_number_of_rows_is_spread_over_the_stream()
    {
        using var stream = CountingStream.Create(1001);
        var batches = ValidationWindows.Batches("a", stream.Tokens, 10, maxRows: 4, rowsPerBatch: 3).ToList();
        Assert.Equal([3, 1], batches.Select(batch => batch.Rows));
        Assert.Equal([0, 250, 500, 750], batches.SelectMany(batch => batch.Inputs).Chunk(10).Select(row => row[0]));
    }

    [Fact]
    public void One_token_is_too_little()
    {
        using var stream = CountingStream.Create(1);
        Assert.StartsWith("a has 1 tokens to validate on", Assert.Throws<InvalidDataException>(() => ValidationWindows.Batches("a", stream.Tokens, 10, 0, 3)).Message, StringComparison.Ordinal);
    }
}

/// <summary>A stream of n tokens that count up from 0.</summary>
internal sealed class CountingStream : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private CountingStream(int count, int period)
    {
        string path = _directory.PathOf("counting.tokens");
        using (var writer = new TokenShardWriter(path, 4, new string('0', 64)))
        {
            writer.BeginDocument();
            writer.Write([.. Enumerable.Range(0, count).Select(token => token % period)]);
            writer.Complete();
        }
        Tokens = new TokenStream([TokenShard.Open(path)]);
    }

    public TokenStream Tokens { get; }

    /// <param name="count">Tokens in all.</param>
    /// <param name="period">Where the counting begins anew.</param>
    public static CountingStream Create(int count, int period = int.MaxValue) => new(count, period);

    public void Dispose()
    {
        Tokens.Dispose();
        _directory.Dispose();
    }
}
