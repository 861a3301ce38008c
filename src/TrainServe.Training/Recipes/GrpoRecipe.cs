using TrainServe.Training.Optimization;

namespace TrainServe.Training.Recipes;

/// <summary>What an answer's reward is compared with.</summary>
public enum AdvantageKind
{
    /// <summary>The group's mean, divided by its standard deviation plus 1e-4 (Shao et al. 2024, arXiv:2402.03300).</summary>
    Grpo,

    /// <summary>The group's mean, not divided: hard and easy prompts count alike (Liu et al. 2025, arXiv:2503.20783).</summary>
    DrGrpo,

    /// <summary>The mean of the group's other answers (Ahmadian et al. 2024, arXiv:2402.14740).</summary>
    Rloo,
}

/// <summary>What a minibatch's loss is divided by.</summary>
public enum LengthNormalization
{
    /// <summary>The tokens of all its answers together.</summary>
    Tokens,

    /// <summary>rollout.max_new_tokens for each answer, however long it is.</summary>
    Constant,
}

/// <summary>What becomes of an answer that did not end in time.</summary>
public enum TruncatedRule
{
    /// <summary>Nothing is learned from it, but its reward counts among its group's.</summary>
    Mask,

    /// <summary>The penalty is subtracted from its reward.</summary>
    Penalize,

    /// <summary>It is an answer like others.</summary>
    Keep,
}

/// <summary>Advantages from groups of answers to one prompt.</summary>
public sealed record GrpoSection : IRecipeSection
{
    /// <summary>Answers to each prompt.</summary>
    public int GroupSize { get; init; } = 8;
    public AdvantageKind Advantage { get; init; } = AdvantageKind.Grpo;
    public LengthNormalization Normalization { get; init; } = LengthNormalization.Tokens;
    public TruncatedRule Truncated { get; init; } = TruncatedRule.Penalize;
    public double TruncationPenalty { get; init; } = 0.5;

    /// <summary>Weight of the divergence from the reference; 0 needs no reference.</summary>
    public double KlCoefficient { get; init; }
    public KlEstimator KlEstimator { get; init; } = KlEstimator.K2;

    public void Check(RecipeRules rules)
    {
        rules.Range(nameof(GroupSize), GroupSize, 2, 1 << 12);
        rules.NotNegative(nameof(TruncationPenalty), TruncationPenalty);
        rules.NotNegative(nameof(KlCoefficient), KlCoefficient);
    }
}

/// <summary>A way to judge an answer.</summary>
public enum RewardKind
{
    /// <summary>1 if the answer is the reference, but for white space around and between words.</summary>
    Exact,

    /// <summary>1 if the answer's last number is the reference's, which stands behind #### if that is there.</summary>
    Number,

    /// <summary>1 if the answer's last number is the value of the sum or product in the prompt.</summary>
    Arithmetic,

    /// <summary>1 if the whole answer, trimmed, matches the pattern.</summary>
    Format,

    /// <summary>The score of the reward model that --reward names.</summary>
    Model,
}

/// <summary>A part of the reward.</summary>
public sealed record RewardFunctionSection : IRecipeSection
{
    public required RewardKind Kind { get; init; }

    /// <summary>Its weight in the sum.</summary>
    public double Weight { get; init; } = 1;

    /// <summary>Of <c>format</c>: a regular expression.</summary>
    public string? Pattern { get; init; }

    public void Check(RecipeRules rules)
    {
        rules.Require(double.IsFinite(Weight) && Weight != 0, nameof(Weight), Weight, "must be a number other than 0");
        rules.Require((Kind == RewardKind.Format) == (Pattern is not null), nameof(Pattern), Pattern, "must be set for the kind format, and for no other");
    }
}

/// <summary>What happens when an answer cannot be judged.</summary>
public enum RewardErrorRule
{
    /// <summary>The run stops and names the prompt's file and line.</summary>
    Stop,

    /// <summary>The answer gets 0, and is counted.</summary>
    Zero,
}

/// <summary>What <c>trainserve grpo</c> does, given a policy and prompts.</summary>
public sealed record GrpoRecipe : IRecipeSection
{
    /// <summary>Decides the order of the prompts, what is sampled, and the order of minibatches.</summary>
    public ulong Seed { get; init; } = 1;
    public PromptDataSection Data { get; init; } = new();

    /// <summary>Prompts are groups here.</summary>
    public RolloutSection Rollout { get; init; } = new() { Prompts = 8 };
    public required UpdateSection Update { get; init; }
    public GrpoSection Grpo { get; init; } = new();

    /// <summary>Added up.</summary>
    public required IReadOnlyList<RewardFunctionSection> Rewards { get; init; }
    public RewardErrorRule OnRewardError { get; init; } = RewardErrorRule.Stop;
    public OptimizerSection Optimizer { get; init; } = new() { LearningRate = 1e-5, MinLearningRate = 1e-6, Schedule = ScheduleKind.Linear, WarmupSteps = 0, Beta2 = 0.95, WeightDecay = 0 };

    /// <summary>Of held-out prompts: the mean reward of one answer to each.</summary>
    public ValidationSection Validation { get; init; } = new() { EverySteps = 20, MaxRows = 64 };

    [FreeOnResume]
    public CheckpointSection Checkpoint { get; init; } = new();

    public void Check(RecipeRules rules)
    {
        rules.Require(Rewards.Count > 0, nameof(Rewards), "an empty list", "must have at least one item");
        rules.Require(Update.MinibatchRows % Grpo.GroupSize == 0, "update.minibatch_rows", Update.MinibatchRows, $"must be a multiple of grpo.group_size, {Grpo.GroupSize}: groups stay whole");
    }
}
