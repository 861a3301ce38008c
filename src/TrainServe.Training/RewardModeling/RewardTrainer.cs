using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Model;
using TrainServe.Training.Alignment;
using TrainServe.Training.Loops;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.RewardModeling;

/// <summary>Reward modelling: a model learns from pairs of answers to give the better one the higher score.</summary>
public sealed class RewardTrainer : ITrainingRun
{
    public const string Stage = "reward";
    private readonly RewardRecipe _recipe;
    private readonly Transformer _model;
    private readonly RewardObjective _objective;
    private readonly StageRun _run;

    private RewardTrainer(PreferenceStage stage, RewardRecipe recipe, Transformer model, ITrainingDisplay display, TimeProvider time)
    {
        (_recipe, _model) = (recipe, model);
        model.Kernels = TrainingKernels.Choose(recipe.Training.Precision, model);
        model.ActivationCheckpointing = recipe.Training.ActivationCheckpointing;
        _objective = new RewardObjective(recipe, stage.Data, model, stage.Parent.Padding, stage.Options.Processes);
        _run = stage.Run(model, _objective, display, time, AddHeldOut);
        Plan = stage.Plan(model, _objective, _objective.Order);
    }

    /// <inheritdoc/>
    public TrainingPlan Plan { get; }

    /// <summary>Reads and encodes the pairs and loads the model, with a fresh head if it has none for scores.</summary>
    /// <param name="options">What the user asked for; the model is needed.</param>
    /// <param name="recipe">What the recipe says.</param>
    /// <param name="display">Is told what is done.</param>
    /// <param name="time">The clock.</param>
    /// <param name="cancellationToken">Stops the preparation.</param>
    /// <exception cref="RecipeException">Recipe and options do not fit together.</exception>
    /// <exception cref="InvalidDataException">The model or the pairs cannot be used.</exception>
    public static RewardTrainer Prepare(RunOptions options, RewardRecipe recipe, ITrainingDisplay display, TimeProvider time, CancellationToken cancellationToken = default)
    {
        var parent = StageModel.Open(options, Stage);
        if (recipe.Reward.LanguageModeling > 0 && !parent.Package.Config.TieWordEmbeddings)
        {
            throw new RecipeException($"reward.language_modeling is {recipe.Reward.LanguageModeling}; it needs a model whose embedding is its head too, and {parent.Package.Directory} has a head of its own, which a reward model does not keep.");
        }
        var stage = PreferenceStage.Read(Stage, options, recipe, parent, cancellationToken);
        var model = ScoredTransformer.Load(parent.Package, recipe.Seed, recipe.Training.Dropout, options.Device);
        try
        {
            return new RewardTrainer(stage, recipe, model, display, time);
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

    // Of the weights to be published, after calibration.
    private void AddHeldOut(Dictionary<string, double> results)
    {
        // As its users will compute.
        _model.Kernels = TrainingKernels.Plain;
        var bySource = _objective.HeldOutDifferences().ToList();
        if (bySource.Count == 0)
        {
            return;
        }
        double scale = 1;
        if (_recipe.Reward.Calibrate)
        {
            scale = PreferenceAccuracy.BestScale([.. bySource.SelectMany(source => source.Differences)]);
            ScoredTransformer.ScaleScores(_model, scale);
            results["score_scale"] = scale;
        }
        foreach (var (name, differences) in bySource)
        {
            var found = PreferenceAccuracy.Of([.. differences.Select(difference => difference * scale)]);
            results[$"accuracy/{name}"] = found.Accuracy;
            results[$"ties/{name}"] = found.Ties;
            results[$"loss/{name}"] = found.Loss;
            results[$"calibration_error/{name}"] = found.CalibrationError;
        }
    }
}
