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

    private DpoTrainer(PreferenceStage stage, DpoRecipe recipe, ReferenceLogProbs reference, Transformer model, ITrainingDisplay display, TimeProvider time)
    {
        _model = model;
        _objective = new DpoObjective(recipe, stage.Data, reference, model, stage.Parent.Padding, stage.Options.Processes);
        _run = stage.Run(model, _objective, display, time);
        Plan = stage.Plan(model, _objective, _objective.Order);
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
        var stage = PreferenceStage.Read(Stage, options, recipe, parent, cancellationToken);
        var model = Transformer.Load(parent.Package, recipe.Training.Dropout, device: options.Device);
        try
        {
            model.Kernels = TrainingKernels.Choose(recipe.Training.Precision, model);
            model.ActivationCheckpointing = recipe.Training.ActivationCheckpointing;
            var reference = ReferenceLogProbs.Of(stage.Data, model, FileHash.OfFile(parent.Package.WeightsPath), parent.Padding, stage.MicroRows, workDirectory, display.Note, cancellationToken);
            return new DpoTrainer(stage, recipe, reference, model, display, time);
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
