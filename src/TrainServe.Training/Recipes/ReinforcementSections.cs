using TrainServe.Model;

namespace TrainServe.Training.Recipes;

/// <summary>What a policy is asked.</summary>
public sealed record PromptDataSection : IRecipeSection
{
    /// <summary>Longer prompts are left out and counted; when not set, what the context leaves beside rollout.max_new_tokens.</summary>
    public int? MaxPromptTokens { get; init; }

    /// <summary>Files of prompts; the option --data replaces it.</summary>
    public IReadOnlyList<DataSourceSection> Sources { get; init; } = [];

    /// <summary>The part of the prompts that is kept for validation, chosen by a hash of the first user turn.</summary>
    public double ValidationFraction { get; init; }

    /// <summary>Only prompts of this part of all first user turns are read, by a hash: stages whose parts do not meet share no question.</summary>
    public double PartFrom { get; init; }

    /// <summary>Where the part ends; 1 is the end of all.</summary>
    public double PartTo { get; init; } = 1;

    /// <summary>Whether records that cannot be used are counted and left out, rather than stop the run.</summary>
    public bool SkipBadRecords { get; init; }

    public void Check(RecipeRules rules)
    {
        if (MaxPromptTokens is { } tokens)
        {
            rules.Range(nameof(MaxPromptTokens), tokens, 1, 1 << 20);
        }
        rules.Fraction(nameof(ValidationFraction), ValidationFraction);
        DataRules.CheckPart(rules, PartFrom, PartTo);
        DataRules.CheckWeights(rules, nameof(Sources), Sources);
    }
}

/// <summary>What a policy samples in one step. All tokens are allowed: there is no top-k and no top-p, so that the sampler's probabilities are the ones that are trained.</summary>
public sealed record RolloutSection : IRecipeSection
{
    /// <summary>Prompts of a step.</summary>
    public int Prompts { get; init; } = 32;

    /// <summary>Most tokens of an answer, with the one that ends it.</summary>
    public int MaxNewTokens { get; init; } = 64;

    /// <summary>Divides the logits, in sampling, in the reference and in the update alike.</summary>
    public float Temperature { get; init; } = 1;

    /// <summary>Answers that a model reads at once where nothing is learned.</summary>
    public int MicroBatchRows { get; init; } = 32;

    public void Check(RecipeRules rules)
    {
        rules.Range(nameof(Prompts), Prompts, 1, 1 << 16);
        rules.Range(nameof(MaxNewTokens), MaxNewTokens, 1, 1 << 20);
        rules.Require(Temperature is > 0 and <= 100, nameof(Temperature), Temperature, "must be above 0 and at most 100");
        rules.Range(nameof(MicroBatchRows), MicroBatchRows, 1, 1 << 16);
    }
}

/// <summary>How often and in what portions a step's answers are learned from.</summary>
public sealed record UpdateSection : IRecipeSection
{
    /// <summary>Steps of the run: each samples answers and learns from them.</summary>
    public required int Iterations { get; init; }

    /// <summary>Passes over a step's answers, each in another order.</summary>
    public int Epochs { get; init; } = 4;

    /// <summary>Answers of one update of the weights.</summary>
    public int MinibatchRows { get; init; } = 16;

    /// <summary>Answers computed at once; less saves memory and changes nothing but the last bits.</summary>
    public int? MicroBatchRows { get; init; }

    /// <summary>Largest useful change of a token's probability ratio.</summary>
    public double ClipRange { get; init; } = 0.2;

    /// <summary>Reward for each nat of entropy of a token's distribution.</summary>
    public double EntropyCoefficient { get; init; }

    /// <summary>In what numbers the models read and learn from answers, old and new alike; answers are sampled in single precision always.</summary>
    public TrainingPrecision Precision { get; init; } = TrainingPrecision.Auto;

    /// <summary>Whether blocks keep only their inputs for the backward pass and are computed again there: far less memory for long rows or many layers, and about a third more computation.</summary>
    [FreeOnResume]
    public bool ActivationCheckpointing { get; init; }

    /// <summary>Steps in a row with gradients that are not finite, before the run stops.</summary>
    public int MaxSkippedSteps { get; init; } = 10;

    public void Check(RecipeRules rules)
    {
        rules.Range(nameof(Iterations), Iterations, 1);
        rules.Range(nameof(Epochs), Epochs, 1, 1000);
        rules.Range(nameof(MinibatchRows), MinibatchRows, 1, 1 << 16);
        if (MicroBatchRows is { } rows)
        {
            rules.Range(nameof(MicroBatchRows), rows, 1, MinibatchRows);
        }
        rules.Positive(nameof(ClipRange), ClipRange);
        rules.NotNegative(nameof(EntropyCoefficient), EntropyCoefficient);
        rules.Range(nameof(MaxSkippedSteps), MaxSkippedSteps, 1);
    }
}

/// <summary>How the divergence of the policy from its reference is estimated from one token, x being log(policy / reference).</summary>
public enum KlEstimator
{
    /// <summary>x, subtracted from the reward.</summary>
    K1,

    /// <summary>x^2 / 2 as a part of the loss; its gradient is the divergence's.</summary>
    K2,

    /// <summary>exp(-x) - 1 + x as a part of the loss, as in DeepSeekMath.</summary>
    K3,
}

/// <summary>Whether the weight of the divergence stays.</summary>
public enum KlControlKind
{
    Fixed,

    /// <summary>It follows a target.</summary>
    Adaptive,
}

/// <summary>How a policy is held to its reference: every token's log(policy / reference), the estimator k1, is subtracted from its reward.</summary>
public sealed record KlSection : IRecipeSection
{
    /// <summary>Reward subtracted for each nat; where it is adaptive, at the beginning.</summary>
    public double Coefficient { get; init; } = 0.05;
    public KlControlKind Control { get; init; } = KlControlKind.Fixed;

    /// <summary>Of adaptive control: the divergence to be held, in nats an answer.</summary>
    public double Target { get; init; } = 6;

    /// <summary>Of adaptive control: answers over which the coefficient follows.</summary>
    public double Horizon { get; init; } = 10_000;

    public void Check(RecipeRules rules)
    {
        rules.NotNegative(nameof(Coefficient), Coefficient);
        rules.Positive(nameof(Target), Target);
        rules.Positive(nameof(Horizon), Horizon);
    }
}
