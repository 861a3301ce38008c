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
    public void Documents_are_kept_apart_where_they_begin()
    {
        using var stream = CountingStream.Create(61, period: 7);
        var batch = ValidationWindows.Batches("a", stream.Tokens, 20, 0, 1, separator: 0).ElementAt(1);
        // Tokens 20 to 39 of 0..6, 0..6: the zeros are at 21, 28 and 35.
        Assert.Equal([0, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3], batch.Segments!);
        Assert.Null(ValidationWindows.Batches("a", stream.Tokens, 20, 0, 1).First().Segments);
        var windows = new WindowSource("a", stream.Tokens, 20, 1, 0, separator: 0);
        int[] inputs = new int[20], targets = new int[20], segments = new int[20];
        windows.Read(0, inputs, targets, segments);
        Assert.True(windows.SeparatesTexts);
        Assert.All(Enumerable.Range(1, 19), i => Assert.Equal(inputs[i] == 0, segments[i] != segments[i - 1]));
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
