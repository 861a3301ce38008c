using TrainServe.Training.Optimization;

namespace TrainServe.Training.Recipes;

/// <summary>What a reward model is trained for.</summary>
public sealed record RewardSection : IRecipeSection
{
    /// <summary>By how much the better answer should score above the other; a record's own margin is added.</summary>
    public double Margin { get; init; }

    /// <summary>Weight of the square of each pair's mean score, which keeps scores around 0; 0 leaves it out (Eisenstein et al. 2023, arXiv:2312.09244).</summary>
    public double Centering { get; init; } = 0.01;

    /// <summary>Weight of the same loss over the answers as far as they go, at every token that both have; 0 leaves it out.</summary>
    /// <remarks>One number a pair teaches little; this teaches where answers part. Scores at every token: Cobbe et al. 2021, arXiv:2110.14168, section 4.2.</remarks>
    public double EveryToken { get; init; }

    /// <summary>Weight of the next-token loss on the better answers, mean over their tokens; 0 leaves it out. The model's embedding must be its head too.</summary>
    /// <remarks>It keeps the body a model of language, which scores learned from few pairs are the better for: Cobbe et al. 2021, section 4.2, and Yang et al. 2024, arXiv:2406.10216.</remarks>
    public double LanguageModeling { get; init; }

    /// <summary>Whether, at the end, scores are multiplied so that the held-out loss is least: then the logistic of a difference is a probability to be trusted.</summary>
    public bool Calibrate { get; init; } = true;

    public void Check(RecipeRules rules)
    {
        rules.NotNegative(nameof(Margin), Margin);
        rules.NotNegative(nameof(Centering), Centering);
        rules.NotNegative(nameof(EveryToken), EveryToken);
        rules.NotNegative(nameof(LanguageModeling), LanguageModeling);
    }
}

/// <summary>What <c>trainserve reward</c> does, given a model and preference pairs.</summary>
public sealed record RewardRecipe : IPreferenceRecipe
{
    /// <summary>Decides the head's first weights, order of the data and dropout.</summary>
    public ulong Seed { get; init; } = 1;
    public PreferenceDataSection Data { get; init; } = new();
    public RewardSection Reward { get; init; } = new();

    /// <summary>Rows are pairs here. One epoch is the custom: a second overfits.</summary>
    public required TrainingSection Training { get; init; }

    /// <summary>The rate falls to 0.</summary>
    public OptimizerSection Optimizer { get; init; } = new() { LearningRate = 1e-4, MinLearningRate = 0, Schedule = ScheduleKind.Linear, WarmupSteps = 10, WeightDecay = 0.01 };
    public ValidationSection Validation { get; init; } = new();

    [FreeOnResume]
    public CheckpointSection Checkpoint { get; init; } = new();

    public void Check(RecipeRules rules) => Training.RequireNothingOfNextTokens(rules);
}
