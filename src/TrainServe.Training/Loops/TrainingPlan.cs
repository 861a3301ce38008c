using TrainServe.Core;
using TrainServe.Training.Distributed;

namespace TrainServe.Training.Loops;

/// <summary>What a source gives a run.</summary>
/// <param name="Name">What losses call it.</param>
/// <param name="Share">Its part of the rows.</param>
/// <param name="TrainTokens">To train on.</param>
/// <param name="ValidationTokens">Held out.</param>
public sealed record SourceSummary(string Name, double Share, long TrainTokens, long ValidationTokens);

/// <summary>What a run will do, known before its first step.</summary>
public sealed record TrainingPlan
{
    public required string Stage { get; init; }
    public required ModelConfig Model { get; init; }
    public required MemoryEstimate Memory { get; init; }
    public required IReadOnlyList<SourceSummary> Sources { get; init; }

    /// <summary>Tokens of a row, T.</summary>
    public required int Columns { get; init; }
    public required int BatchRows { get; init; }

    /// <summary>Rows that a process computes at once.</summary>
    public required int MicroBatchRows { get; init; }

    /// <summary>Whether blocks keep only their inputs and are computed again in the backward pass.</summary>
    public bool ActivationCheckpointing { get; init; }

    /// <summary>The processes that share every step.</summary>
    public IProcessGroup Processes { get; init; } = SingleProcess.Instance;
    public required long TotalSteps { get; init; }
    public required long RowsPerEpoch { get; init; }

    /// <summary>The first rows in readable form.</summary>
    public required string Preview { get; init; }

    /// <summary>Sentences about the data: what was left out, cut, or not held out.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>Whether the model lives on a GPU.</summary>
    public bool IsOnGpu { get; init; }

    public long TotalRows => TotalSteps * BatchRows;
    public long TotalTokens => TotalRows * Columns;
    public double Epochs => (double)TotalRows / RowsPerEpoch;

    /// <summary>Refuses a run that cannot fit, before it takes the machine's memory.</summary>
    /// <param name="availableBytes">Memory of the machine.</param>
    /// <exception cref="RecipeException">The estimate is above it.</exception>
    public void RequireMemory(long availableBytes)
    {
        if (IsOnGpu)
        {
            // Its own memory is what counts, and the estimate is for the processor's kernels.
            return;
        }
        long needed = Memory.TotalBytes * Processes.SizeHere;
        if (needed > availableBytes)
        {
            string micro = MicroBatchRows > 1 ? $"set training.micro_batch_rows below {MicroBatchRows}" : (ActivationCheckpointing ? "" : "set activation_checkpointing, or ") + "lower data.sequence_length or the model's size";
            throw new RecipeException($"The run needs about {Gibibytes(needed)} of memory and this machine has {Gibibytes(availableBytes)}; {micro}.");
        }
    }

    private static string Gibibytes(long bytes) => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{bytes / (double)(1L << 30):F1} GiB");
}
