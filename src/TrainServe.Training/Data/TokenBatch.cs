using TrainServe.Model;

namespace TrainServe.Training.Data;

// B rows, T columns.

/// <summary>Rows to train on.</summary>
/// <param name="Rows">B.</param>
/// <param name="Columns">T.</param>
/// <param name="Inputs">Tokens that the model sees, [B, T], row after row.</param>
/// <param name="Targets">For each, the token that follows; <see cref="Ignored"/> where nothing is to be learned.</param>
/// <param name="After">The cursor once these rows are consumed.</param>
/// <param name="Origin">Which rows they are, for messages.</param>
public sealed record TokenBatch(int Rows, int Columns, int[] Inputs, int[] Targets, DataCursor After, string Origin)
{
    /// <summary>The target where nothing is to be learned.</summary>
    public const int Ignored = (int)CrossEntropy.IgnoreIndex;

    /// <summary>For each input, which text of its row it belongs to, from 0: texts do not attend to each other. Null where a row is one text.</summary>
    public int[]? Segments { get; init; }

    /// <summary>Targets that are not ignored.</summary>
    public int LearnedTokens { get; } = Targets.Length - Targets.AsSpan().Count(Ignored);
}

/// <summary>Data as a function of the cursor: the same cursor gives the same rows, on any thread, before or after a restart.</summary>
public interface IBatchSource
{
    DataCursor Start { get; }

    /// <summary>Rows in one pass over the data.</summary>
    long RowsPerEpoch { get; }

    /// <summary>The next rows. Called from one thread at a time.</summary>
    TokenBatch Read(DataCursor cursor, int rows);

    /// <summary>The cursor behind the next rows, which are not read.</summary>
    DataCursor Skip(DataCursor cursor, int rows);
}
