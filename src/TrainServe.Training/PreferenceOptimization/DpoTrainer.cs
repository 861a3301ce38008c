using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Model;
using TrainServe.Training.Alignment;
using TrainServe.Training.Loops;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.PreferenceOptimization;

/// <summary>Direct preference optimization: a language model learns from pairs of answers, without a reward model and without sampling.</summary>
public sealed class DpoTrainer : ITrainingRun
{
    public const string Stage = "dpo";
    private readonly Transformer _model;
    private readonly DpoObjective _objective;
    private readonly StageRun _run;

    private DpoTrainer(RunOptions options, DpoRecipe recipe, StageModel parent, PreferenceData data, ReferenceLogProbs reference, int columns, Transformer model, ITrainingDisplay display, TimeProvider time)
    {
        _model = model;
        _objective = new DpoObjective(recipe, data, reference, model, parent.Padding);
        _run = new StageRun
        {
            Stage = Stage,
            Options = options,
            Parent = parent,
            Model = model,
            Objective = _objective,
            Recipe = recipe,
            Seed = recipe.Seed,
            Data = data.Identity(),
            Lineage = data.Lineage(),
            Measuring = recipe.Validation,
            Saving = recipe.Checkpoint,
            MaxSkippedSteps = recipe.Training.MaxSkippedSteps,
            Time = time,
            Display = display,
        };
        int micro = recipe.Training.MicroBatchRows ?? recipe.Training.BatchRows;
        Plan = new TrainingPlan
        {
            Stage = Stage,
            Model = model.Config,
            Memory = MemoryEstimate.Of(model.Config, 2 * micro, columns, model.Kernels),
            Sources = data.Summary(),
            Columns = columns,
            BatchRows = recipe.Training.BatchRows,
            MicroBatchRows = micro,
            TotalSteps = _objective.TotalSteps,
            RowsPerEpoch = _objective.Order.Count,
            Preview = data.Preview(_objective.Order, parent.Tokenizer),
            Notes = [.. data.Notes()],
        };
    }

    /// <inheritdoc/>
    public TrainingPlan Plan { get; }

    /// <summary>Reads and encodes the pairs, loads the model, and computes what it says of every answer before training: the reference.</summary>
    /// <param name="options">What the user asked for; the model is needed.</param>
    /// <param name="recipe">What the recipe says.</param>
    /// <param name="workDirectory">Where the reference's log-probabilities are kept.</param>
    /// <param name="display">Is told what is done.</param>
    /// <param name="time">The clock.</param>
    /// <param name="cancellationToken">Stops the preparation.</param>
    /// <exception cref="RecipeException">Recipe and options do not fit together.</exception>
    /// <exception cref="InvalidDataException">The model or the pairs cannot be used.</exception>
    public static DpoTrainer Prepare(RunOptions options, DpoRecipe recipe, string workDirectory, ITrainingDisplay display, TimeProvider time, CancellationToken cancellationToken = default)
    {
        var parent = StageModel.Open(options, Stage).RequireLanguageModel();
        int columns = parent.Columns(recipe.Data.SequenceLength);
        var data = new PreferenceData(recipe.Data, options.Sources(recipe.Data.Sources), parent.Template, columns, cancellationToken);
        var model = Transformer.Load(parent.Package, recipe.Training.Dropout, device: options.Device);
        try
        {
            model.Kernels = TrainingKernels.Choose(recipe.Training.Precision, model);
            int micro = recipe.Training.MicroBatchRows ?? recipe.Training.BatchRows;
            var reference = ReferenceLogProbs.Of(data, model, FileHash.OfFile(parent.Package.WeightsPath), parent.Padding, micro, workDirectory, display.Note, cancellationToken);
            return new DpoTrainer(options, recipe, parent, data, reference, columns, model, display, time);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public (TrainingOutcome Outcome, ModelPackage? Package) Run(CancellationToken stop) => _run.Run(stop);

    public void Dispose()
    {
        _objective.Dispose();
        _model.Dispose();
    }
}
