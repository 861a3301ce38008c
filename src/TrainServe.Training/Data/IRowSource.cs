namespace TrainServe.Training.Data;

/// <summary>Rows of one source, as a function of their number: the same number gives the same row, before or after a restart.</summary>
public interface IRowSource
{
    /// <summary>What losses and messages call it.</summary>
    string Name { get; }

    /// <summary>Rows in one pass over the source; passes that are packed anew may differ by a few.</summary>
    long RowsPerEpoch { get; }

    /// <summary>Whether a row can hold several texts that must not attend to each other.</summary>
    bool SeparatesTexts { get; }

    /// <summary>Fills a row.</summary>
    /// <param name="row">Counted over all epochs.</param>
    /// <param name="inputs">T tokens.</param>
    /// <param name="targets">For each the token that follows, or <see cref="TokenBatch.Ignored"/>.</param>
    /// <param name="segments">For each which text of the row it belongs to.</param>
    /// <returns>What the row is, for messages.</returns>
    string Read(long row, Span<int> inputs, Span<int> targets, Span<int> segments);
}
