using TrainServe.Training.Optimization;

namespace TrainServe.Training.Recipes;

/// <summary>Which loss direct preference optimization has.</summary>
public enum DpoLossKind
{
    /// <summary>The logistic loss of the paper.</summary>
    Sigmoid,

    /// <summary>Identity preference optimization: the squared distance to a fixed gap, of log-probabilities averaged over tokens.</summary>
    Ipo,
}

/// <summary>What direct preference optimization is told.</summary>
public sealed record DpoSection : IRecipeSection
{
    /// <summary>How strongly the policy is held to the reference.</summary>
    public double Beta { get; init; } = 0.1;
    public DpoLossKind Loss { get; init; } = DpoLossKind.Sigmoid;

    /// <summary>The probability that a pair's label is wrong; only of the logistic loss.</summary>
    public double LabelSmoothing { get; init; }

    public void Check(RecipeRules rules)
    {
        rules.Positive(nameof(Beta), Beta);
        rules.Require(LabelSmoothing is >= 0 and < 0.5, nameof(LabelSmoothing), LabelSmoothing, "must be at least 0 and below 0.5");
        rules.Require(Loss == DpoLossKind.Sigmoid || LabelSmoothing == 0, nameof(LabelSmoothing), LabelSmoothing, "must be 0 with the loss ipo");
    }
}

/// <summary>What <c>trainserve dpo</c> does, given a model and preference pairs.</summary>
public sealed record DpoRecipe : IPreferenceRecipe
{
    /// <summary>Decides the order of the data and dropout.</summary>
    public ulong Seed { get; init; } = 1;
    public PreferenceDataSection Data { get; init; } = new();
    public DpoSection Dpo { get; init; } = new();

    /// <summary>Rows are pairs here.</summary>
    public required TrainingSection Training { get; init; }
    public OptimizerSection Optimizer { get; init; } = new() { LearningRate = 5e-5, MinLearningRate = 5e-6, Schedule = ScheduleKind.Linear, WarmupSteps = 10, WeightDecay = 0 };
    public ValidationSection Validation { get; init; } = new();

    [FreeOnResume]
    public CheckpointSection Checkpoint { get; init; } = new();

    public void Check(RecipeRules rules) => Training.RequireNothingOfNextTokens(rules);
}
