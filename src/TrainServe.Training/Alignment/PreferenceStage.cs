using TrainServe.Core;
using TrainServe.Model;
using TrainServe.Training.Distributed;
using TrainServe.Training.Loops;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.Alignment;

/// <summary>What the stages have in common that learn from preference pairs: the pairs, the run and its plan.</summary>
/// <param name="Stage">Its name.</param>
/// <param name="Options">What the user asked for.</param>
/// <param name="Recipe">What the recipe says.</param>
/// <param name="Parent">The model to begin from.</param>
/// <param name="Data">The pairs.</param>
/// <param name="Columns">Most tokens of a row.</param>
/// <param name="MicroRows">Pairs that a process computes at once.</param>
internal sealed record PreferenceStage(string Stage, RunOptions Options, IPreferenceRecipe Recipe, StageModel Parent, PreferenceData Data, int Columns, int MicroRows)
{
    /// <summary>Reads and encodes the pairs.</summary>
    /// <exception cref="RecipeException">Recipe and options do not fit together.</exception>
    /// <exception cref="InvalidDataException">The pairs cannot be used.</exception>
    public static PreferenceStage Read(string stage, RunOptions options, IPreferenceRecipe recipe, StageModel parent, CancellationToken cancellationToken)
    {
        int micro = BatchShare.Of(recipe.Training, options.Processes).MicroRows, columns = parent.Columns(recipe.Data.SequenceLength);
        var data = new PreferenceData(recipe.Data, options.Sources(recipe.Data.Sources), parent.Template, columns, cancellationToken);
        return new PreferenceStage(stage, options, recipe, parent, data, columns, micro);
    }

    public StageRun Run(Transformer model, IObjective objective, ITrainingDisplay display, TimeProvider time, Action<Dictionary<string, double>>? conclude = null) => new()
    {
        Stage = Stage,
        Options = Options,
        Parent = Parent,
        Model = model,
        Objective = objective,
        Recipe = Recipe,
        Seed = Recipe.Seed,
        Data = Data.Identity(),
        Lineage = Data.Lineage(),
        Measuring = Recipe.Validation,
        Saving = Recipe.Checkpoint,
        MaxSkippedSteps = Recipe.Training.MaxSkippedSteps,
        Time = time,
        Display = display,
        Conclude = conclude,
    };

    public TrainingPlan Plan(Transformer model, IObjective objective, ExampleOrder order) => new()
    {
        Stage = Stage,
        Model = model.Config,
        // Both sides of a pair are rows.
        Memory = MemoryEstimate.Of(model.Config, 2 * MicroRows, Columns, model.Kernels, Recipe.Training.ActivationCheckpointing, Recipe.Training.Dropout > 0),
        Sources = Data.Summary(),
        Columns = Columns,
        BatchRows = Recipe.Training.BatchRows,
        MicroBatchRows = MicroRows,
        ActivationCheckpointing = Recipe.Training.ActivationCheckpointing,
        Processes = Options.Processes,
        TotalSteps = objective.TotalSteps,
        RowsPerEpoch = order.Count,
        Preview = Data.Preview(order, Parent.Tokenizer),
        Notes = [.. Data.Notes()],
    };
}
