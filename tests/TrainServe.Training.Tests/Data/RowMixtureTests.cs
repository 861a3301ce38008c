using TrainServe.Training.Data;

namespace TrainServe.Training.Tests.Data;

public sealed class RowMixtureTests : IDisposable
{
    private readonly List<CountingStream> _streams = [];

    public void Dispose() => _streams.ForEach(stream => stream.Dispose());

    [Fact]
    public void A_target_is_the_token_after_its_input()
    {
        var batch = Mixture([("a", 100, 1)], columns: 4).Read(DataCursor.Start(1), rows: 3);
        Assert.Equal((3, 4, 12), (batch.Rows, batch.Columns, batch.LearnedTokens));
        // The stream counts up, so that each target is its input and one.
        Assert.Equal(batch.Inputs.Select(id => id + 1), batch.Targets);
    }

    [Fact]
    public void An_epoch_reads_every_window_once_and_the_next_one_in_another_order()
    {
        var mixture = Mixture([("a", 1001, 1)], columns: 10);
        int rows = (int)mixture.RowsPerEpoch;
        Assert.Equal(99, rows);
        var first = mixture.Read(DataCursor.Start(1), rows);
        var starts = Enumerable.Range(0, rows).Select(row => first.Inputs[row * 10]).ToArray();
        int[] sorted = [.. starts.Order()];
        // Side by side: nothing is left out between two windows and nothing is read twice.
        Assert.All(sorted.Zip(sorted.Skip(1)), pair => Assert.Equal(10, pair.Second - pair.First));
        Assert.NotEqual(sorted, starts);
        var second = mixture.Read(first.After, rows);
        Assert.NotEqual(first.Inputs, second.Inputs);
    }

    [Fact]
    public void Reading_from_a_saved_cursor_gives_the_same_rows()
    {
        var mixture = Mixture([("a", 300, 2), ("b", 500, 1)], columns: 7);
        var cursor = mixture.Start;
        var whole = new List<int>();
        for (int i = 0; i < 40; i++)
        {
            var batch = mixture.Read(cursor, 3);
            whole.AddRange(batch.Inputs);
            cursor = batch.After;
        }
        var again = Mixture([("a", 300, 2), ("b", 500, 1)], columns: 7);
        var resumed = again.Read(mixture.Read(mixture.Start, 60).After, 60);
        Assert.Equal(whole.Skip(60 * 7), resumed.Inputs);
    }

    [Fact]
    public void Sources_take_turns_by_their_weights()
    {
        var mixture = Mixture([("a", 100, 3), ("b", 100_000, 1)], columns: 8);
        var cursor = mixture.Start;
        for (int i = 1; i <= 50; i++)
        {
            cursor = mixture.Read(cursor, 8).After;
            Assert.Equal([6 * i, 2 * i], cursor.RowsBySource);
        }
    }

    [Fact]
    public void A_source_of_exactly_one_row_can_be_read_for_ever()
    {
        var mixture = Mixture([("a", 9, 1)], columns: 8);
        var batch = mixture.Read(DataCursor.Start(1), 5);
        Assert.All(batch.Inputs.Chunk(8), row => Assert.Equal(Enumerable.Range(0, 8), row));
    }

    [Fact]
    public void A_source_shorter_than_a_row_is_named()
    {
        var error = Assert.Throws<InvalidDataException>(() => Mixture([("little", 8, 1)], columns: 8));
        Assert.Equal("little has 8 tokens to train on; a row of 8 needs 9. Give more text, or lower data.sequence_length.", error.Message);
    }

    private RowMixture Mixture((string Name, int Tokens, double Weight)[] sources, int columns)
    {
        var windows = new List<WindowSource>();
        foreach (var (name, tokens, _) in sources)
        {
            _streams.Add(CountingStream.Create(tokens));
            windows.Add(new WindowSource(name, _streams[^1].Tokens, columns, seed: 5, windows.Count));
        }
        return new RowMixture(windows, [.. sources.Select(source => source.Weight)], columns);
    }
}
