using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Training.Alignment;
using TrainServe.Training.Loops;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.Reinforcement;

/// <summary>Reinforcement learning from a reward model's scores.</summary>
public sealed class PpoTrainer : ITrainingRun
{
    public const string Stage = "ppo";
    private readonly PpoModels _models;
    private readonly PpoObjective _objective;
    private readonly StageRun _run;

    private PpoTrainer(RunOptions options, PpoRecipe recipe, StageModel parent, StageModel reward, PromptData data, int columns, PpoModels models, ITrainingDisplay display, TimeProvider time)
    {
        _models = models;
        _objective = new PpoObjective(recipe, data, models, parent, options.Processes);
        _run = new StageRun
        {
            Stage = Stage,
            Options = options,
            Parent = parent,
            Model = models.Policy,
            Objective = _objective,
            Recipe = recipe,
            Seed = recipe.Seed,
            Data = new Dictionary<string, string>(data.Identity(), StringComparer.Ordinal) { ["reward model"] = FileHash.OfFile(reward.Package.WeightsPath) },
            Lineage = [.. data.Lineage(), new DataSource($"reward model {reward.Package.Name}", FileHash.OfFile(reward.Package.WeightsPath))],
            Measuring = recipe.Validation,
            Saving = recipe.Checkpoint,
            MaxSkippedSteps = recipe.Update.MaxSkippedSteps,
            Time = time,
            Display = display,
        };
        Plan = ReinforcementPlan.Of(Stage, parent, data, _objective.Order, recipe.Rollout, recipe.Update, samples: 1, columns, models: 4, trained: 2, options.Processes);
    }

    /// <inheritdoc/>
    public TrainingPlan Plan { get; }

    /// <summary>Reads the prompts and loads policy, reference, reward model and critic.</summary>
    /// <param name="options">What the user asked for; a model and a reward model are needed.</param>
    /// <param name="recipe">What the recipe says.</param>
    /// <param name="display">Is told what is done.</param>
    /// <param name="time">The clock.</param>
    /// <param name="cancellationToken">Stops the preparation.</param>
    /// <exception cref="RecipeException">Recipe and options do not fit together.</exception>
    /// <exception cref="InvalidDataException">A model or the prompts cannot be used, or the reward model has another tokenizer.</exception>
    public static PpoTrainer Prepare(RunOptions options, PpoRecipe recipe, ITrainingDisplay display, TimeProvider time, CancellationToken cancellationToken = default)
    {
        ReinforcementPlan.RequireShares(recipe.Rollout, recipe.Update, options.Processes);
        var parent = StageModel.Open(options, Stage).RequireLanguageModel();
        var reward = StageModel.Of(options.OpenRewardModel() ?? throw new RecipeException("ppo needs a reward model; give --reward DIR.")).RequireRewardModelFor(parent);
        int columns = ReinforcementPlan.Columns(recipe.Data, recipe.Rollout, parent, reward);
        var data = new PromptData(recipe.Data, options.Sources(recipe.Data.Sources), parent.Template, columns - recipe.Rollout.MaxNewTokens, cancellationToken);
        var models = PpoModels.Load(parent, reward.Package, options.Device);
        try
        {
            models.Choose(recipe.Update.Precision, recipe.Update.ActivationCheckpointing);
            return new PpoTrainer(options, recipe, parent, reward, data, columns, models, display, time);
        }
        catch
        {
            models.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public (TrainingOutcome Outcome, ModelPackage? Package) Run(CancellationToken stop) => _run.Run(stop);

    public void Dispose()
    {
        _objective.Dispose();
        _models.Dispose();
    }
}
