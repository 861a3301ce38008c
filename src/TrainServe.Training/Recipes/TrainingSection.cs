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

    /// <summary>The part of the target that is spread over the vocabulary; losses on held-out rows are without it.</summary>
    public float LabelSmoothing { get; init; }

    /// <summary>Weight of the square of log(sum(exp(logits))), which keeps logits small; 1e-4 is usual, 0 is off.</summary>
    public float ZLoss { get; init; }

    /// <summary>Of the moving average of the weights that is measured and kept in their place; 0 keeps the weights themselves.</summary>
    public double EmaDecay { get; init; }

    /// <summary>A step whose gradient norm is above so many times the running mean of the norms before it is skipped; 0 skips none.</summary>
    public double SkipSpikes { get; init; }

    /// <summary>In what numbers forward and backward compute; weights, moments and sums are single precision always.</summary>
    public TrainingPrecision Precision { get; init; } = TrainingPrecision.Auto;

    /// <summary>Whether blocks keep only their inputs for the backward pass and are computed again there: far less memory for long rows or many layers, and about a third more computation.</summary>
    /// <remarks>No number changes, but for dropout's draws on a GPU.</remarks>
    [FreeOnResume]
    public bool ActivationCheckpointing { get; init; }

    /// <summary>Steps in a row whose gradients are not finite, before the run stops. Each of them is skipped.</summary>
    public int MaxSkippedSteps { get; init; } = 10;

    /// <summary>Optimizer steps of a run.</summary>
    /// <param name="rows">Rows of one pass over the data.</param>
    public long StepsOver(long rows) => Steps ?? Math.Max(1, (long)Math.Ceiling(Epochs!.Value * rows / BatchRows));

    /// <summary>Refuses what only next-token losses have, in the recipe of a stage with another loss: a setting that did nothing would be believed to do something.</summary>
    internal void RequireNothingOfNextTokens(RecipeRules rules)
    {
        const string Rule = "must not be set: the loss of this stage is over pairs, and its weights are not averaged";
        rules.Require(LabelSmoothing == 0, "training.label_smoothing", LabelSmoothing, Rule);
        rules.Require(ZLoss == 0, "training.z_loss", ZLoss, Rule);
        rules.Require(EmaDecay == 0, "training.ema_decay", EmaDecay, Rule);
        rules.Require(SkipSpikes == 0, "training.skip_spikes", SkipSpikes, Rule);
    }

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
        rules.Fraction(nameof(LabelSmoothing), LabelSmoothing);
        rules.NotNegative(nameof(ZLoss), ZLoss);
        rules.Fraction(nameof(EmaDecay), EmaDecay);
        rules.Require(SkipSpikes is 0 or > 1 and < double.PositiveInfinity, nameof(SkipSpikes), SkipSpikes, "must be above 1, or 0");
        rules.Range(nameof(MaxSkippedSteps), MaxSkippedSteps, 1);
    }
}
