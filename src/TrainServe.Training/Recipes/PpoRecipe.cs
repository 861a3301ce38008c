using TrainServe.Training.Optimization;

namespace TrainServe.Training.Recipes;

/// <summary>The advantages and values of proximal policy optimization.</summary>
public sealed record PpoSection : IRecipeSection
{
    /// <summary>Worth of the next token's reward against this one's.</summary>
    public double Gamma { get; init; } = 1;

    /// <summary>Of generalized advantage estimation: 0 trusts the values, 1 the rewards.</summary>
    public double Lambda { get; init; } = 0.95;

    /// <summary>Largest useful change of a value.</summary>
    public double ValueClipRange { get; init; } = 0.2;

    /// <summary>Weight of the values' loss, which is half the squared error.</summary>
    public double ValueCoefficient { get; init; } = 0.1;

    /// <summary>Whether rewards are divided by their standard deviation; their mean stays.</summary>
    public bool WhitenRewards { get; init; }

    /// <summary>Whether advantages get mean 0 and standard deviation 1 over a step's tokens.</summary>
    public bool WhitenAdvantages { get; init; } = true;

    /// <summary>Subtracted from the score of an answer that does not end in time.</summary>
    public double MissingEndPenalty { get; init; } = 1;

    /// <summary>Scores are shifted and divided so that those of so many answers of the first policy have mean 0 and standard deviation 1; 0 takes them as they are.</summary>
    public int NormalizationSamples { get; init; } = 128;

    /// <summary>Scores beyond this, on either side, count as this; 0 does not limit them.</summary>
    public double ScoreLimit { get; init; }

    public void Check(RecipeRules rules)
    {
        rules.Require(Gamma is > 0 and <= 1, nameof(Gamma), Gamma, "must be above 0 and at most 1");
        rules.Require(Lambda is >= 0 and <= 1, nameof(Lambda), Lambda, "must be from 0 to 1");
        rules.Positive(nameof(ValueClipRange), ValueClipRange);
        rules.NotNegative(nameof(ValueCoefficient), ValueCoefficient);
        rules.NotNegative(nameof(MissingEndPenalty), MissingEndPenalty);
        rules.Require(NormalizationSamples is 0 or >= 8, nameof(NormalizationSamples), NormalizationSamples, "must be 0 or at least 8");
        rules.NotNegative(nameof(ScoreLimit), ScoreLimit);
    }
}

/// <summary>What <c>trainserve ppo</c> does, given a policy, a reward model and prompts.</summary>
public sealed record PpoRecipe : IRecipeSection
{
    /// <summary>Decides the order of the prompts, what is sampled, and the order of minibatches.</summary>
    public ulong Seed { get; init; } = 1;
    public PromptDataSection Data { get; init; } = new();
    public RolloutSection Rollout { get; init; } = new();
    public required UpdateSection Update { get; init; }
    public PpoSection Ppo { get; init; } = new();
    public KlSection Kl { get; init; } = new();

    /// <summary>Of the policy.</summary>
    public OptimizerSection Optimizer { get; init; } = new() { LearningRate = 1e-5, MinLearningRate = 1e-6, Schedule = ScheduleKind.Linear, WarmupSteps = 0, Beta2 = 0.95, WeightDecay = 0 };

    /// <summary>Of the values.</summary>
    public OptimizerSection ValueOptimizer { get; init; } = new() { LearningRate = 1e-4, MinLearningRate = 1e-5, Schedule = ScheduleKind.Linear, WarmupSteps = 0, Beta2 = 0.95, WeightDecay = 0 };

    /// <summary>Of held-out prompts: what PPO maximizes, the reward less the divergence, on answers to them.</summary>
    public ValidationSection Validation { get; init; } = new() { EverySteps = 20, MaxRows = 64 };

    [FreeOnResume]
    public CheckpointSection Checkpoint { get; init; } = new();

    public void Check(RecipeRules rules) => rules.Require(Update.MinibatchRows <= Rollout.Prompts, "update.minibatch_rows", Update.MinibatchRows, $"must not be above rollout.prompts, {Rollout.Prompts}");
}
