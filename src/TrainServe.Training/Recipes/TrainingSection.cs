using TrainServe.Model;

namespace TrainServe.Training.Recipes;

/// <summary>How long, and in what portions.</summary>
public sealed record TrainingSection : IRecipeSection
{
    /// <summary>Optimizer steps; or set <see cref="Epochs"/>.</summary>
    public int? Steps { get; init; }

    /// <summary>Passes over the data; the last step may read a few rows of the next pass.</summary>
    public double? Epochs { get; init; }

    /// <summary>Rows of one optimizer step, B.</summary>
    public int BatchRows { get; init; } = 8;

    /// <summary>Rows computed at once; less than <see cref="BatchRows"/> saves memory and changes nothing but the last bits.</summary>
    public int? MicroBatchRows { get; init; }

    /// <summary>Probability with which an activation of a residual branch is zeroed.</summary>
    public float Dropout { get; init; }

    /// <summary>In what numbers forward and backward compute; weights, moments and sums are single precision always.</summary>
    public TrainingPrecision Precision { get; init; } = TrainingPrecision.Auto;

    /// <summary>Steps in a row whose gradients are not finite, before the run stops. Each of them is skipped.</summary>
    public int MaxSkippedSteps { get; init; } = 10;

    /// <summary>Optimizer steps of a run.</summary>
    /// <param name="rows">Rows of one pass over the data.</param>
    public long StepsOver(long rows) => Steps ?? Math.Max(1, (long)Math.Ceiling(Epochs!.Value * rows / BatchRows));

    public void Check(RecipeRules rules)
    {
        rules.Require(Steps is not null || Epochs is not null, nameof(Steps), null, "must be set, unless epochs is");
        rules.Require(Steps is null || Epochs is null, nameof(Steps), Steps, "must not be set together with epochs");
        if (Steps is { } steps)
        {
            rules.Range(nameof(Steps), steps, 1);
        }
        if (Epochs is { } epochs)
        {
            rules.Positive(nameof(Epochs), epochs);
        }
        rules.Range(nameof(BatchRows), BatchRows, 1, 1 << 20);
        if (MicroBatchRows is { } rows)
        {
            rules.Range(nameof(MicroBatchRows), rows, 1, BatchRows);
            rules.Require(BatchRows % rows == 0, nameof(MicroBatchRows), rows, $"must divide batch_rows, {BatchRows}");
        }
        rules.Fraction(nameof(Dropout), Dropout);
        rules.Range(nameof(MaxSkippedSteps), MaxSkippedSteps, 1);
    }
}
