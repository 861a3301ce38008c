using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Model;
using TrainServe.Training.Alignment;
using TrainServe.Training.Loops;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.Reinforcement;

/// <summary>Reinforcement learning from rewards that can be checked, or from a reward model's scores, by groups of answers.</summary>
public sealed class GrpoTrainer : ITrainingRun
{
    public const string Stage = "grpo";
    private readonly List<Transformer> _models;
    private readonly GrpoObjective _objective;
    private readonly StageRun _run;

    private GrpoTrainer(RunOptions options, GrpoRecipe recipe, StageModel parent, StageModel? reward, PromptData data, int columns, List<Transformer> models, ITrainingDisplay display, TimeProvider time)
    {
        _models = models;
        bool hasReference = recipe.Grpo.KlCoefficient > 0;
        _objective = new GrpoObjective(recipe, data, models[0], hasReference ? models[1] : null, reward is null ? null : models[^1], parent, options.Processes);
        var identity = data.Identity();
        var lineage = data.Lineage().ToList();
        if (reward is not null)
        {
            identity["reward model"] = FileHash.OfFile(reward.Package.WeightsPath);
            lineage.Add(new DataSource($"reward model {reward.Package.Name}", identity["reward model"]));
        }
        _run = new StageRun
        {
            Stage = Stage,
            Options = options,
            Parent = parent,
            Model = models[0],
            Objective = _objective,
            Recipe = recipe,
            Seed = recipe.Seed,
            Data = identity,
            Lineage = lineage,
            Measuring = recipe.Validation,
            Saving = recipe.Checkpoint,
            MaxSkippedSteps = recipe.Update.MaxSkippedSteps,
            Time = time,
            Display = display,
        };
        Plan = ReinforcementPlan.Of(Stage, parent, data, _objective.Order, recipe.Rollout, recipe.Update, recipe.Grpo.GroupSize, columns, models.Count, trained: 1, options.Processes);
    }

    /// <inheritdoc/>
    public TrainingPlan Plan { get; }

    /// <summary>Reads the prompts and loads the models that the recipe needs.</summary>
    /// <param name="options">What the user asked for; a model is needed.</param>
    /// <param name="recipe">What the recipe says.</param>
    /// <param name="display">Is told what is done.</param>
    /// <param name="time">The clock.</param>
    /// <param name="cancellationToken">Stops the preparation.</param>
    /// <exception cref="RecipeException">Recipe and options do not fit together.</exception>
    /// <exception cref="InvalidDataException">A model or the prompts cannot be used.</exception>
    public static GrpoTrainer Prepare(RunOptions options, GrpoRecipe recipe, ITrainingDisplay display, TimeProvider time, CancellationToken cancellationToken = default)
    {
        ReinforcementPlan.RequireShares(recipe.Rollout, recipe.Update, options.Processes);
        var parent = StageModel.Open(options, Stage).RequireLanguageModel();
        bool needsReward = recipe.Rewards.Any(section => section.Kind == RewardKind.Model);
        if (needsReward != (options.RewardModel is not null))
        {
            throw new RecipeException(needsReward ? "The recipe's rewards name the kind model; give --reward DIR." : $"--reward {options.RewardModel} is given, but none of the recipe's rewards is of the kind model.");
        }
        var reward = options.OpenRewardModel() is { } package ? StageModel.Of(package).RequireRewardModelFor(parent) : null;
        int columns = reward is null ? ReinforcementPlan.Columns(recipe.Data, recipe.Rollout, parent) : ReinforcementPlan.Columns(recipe.Data, recipe.Rollout, parent, reward);
        var data = new PromptData(recipe.Data, options.Sources(recipe.Data.Sources), parent.Template, columns - recipe.Rollout.MaxNewTokens, cancellationToken);
        var models = new List<Transformer>();
        try
        {
            models.Add(Transformer.Load(parent.Package, device: options.Device));
            if (recipe.Grpo.KlCoefficient > 0)
            {
                models.Add(Transformer.Load(parent.Package, device: options.Device));
            }
            if (reward is not null)
            {
                models.Add(Transformer.Load(reward.Package, device: options.Device));
            }
            models.ForEach(model => model.Kernels = TrainingKernels.Choose(recipe.Update.Precision, model));
            models[0].ActivationCheckpointing = recipe.Update.ActivationCheckpointing;
            return new GrpoTrainer(options, recipe, parent, reward, data, columns, models, display, time);
        }
        catch
        {
            models.ForEach(model => model.Dispose());
            throw;
        }
    }

    /// <inheritdoc/>
    public (TrainingOutcome Outcome, ModelPackage? Package) Run(CancellationToken stop) => _run.Run(stop);

    public void Dispose()
    {
        _objective.Dispose();
        _models.ForEach(model => model.Dispose());
    }
}
