using TrainServe.Training.Optimization;
using TrainServe.Training.Recipes;

namespace TrainServe.Cli.Quickstart;

/// <summary>How the small world's model is aligned with the preferences about it: a reward model, a judge that saw other prompts, and PPO or DPO.</summary>
/// <param name="Method">Which of the two.</param>
/// <param name="Minutes">About how long on two cores without other work; steps follow from it, not from the clock.</param>
/// <param name="Seed">Of the quickstart.</param>
public sealed record AlignmentPlan(AlignmentMethod Method, double Minutes, ulong Seed)
{
    // Of the quickstart's minutes; 12 and 8 are 20.
    public const double Share = 2.0 / 3;
    private const double Half = 0.5;

    /// <summary>Learns from the preferences of one half of the prompts.</summary>
    public RewardRecipe Reward => Scorer(Seed, from: 0, to: Half);

    /// <summary>Learns from the other half, and judges: what it likes was never trained for.</summary>
    public RewardRecipe Judge => Scorer(Seed + 1, from: Half, to: 1);

    /// <summary>Prompts are those that the reward model knows.</summary>
    public PpoRecipe Ppo => new()
    {
        Seed = Seed,
        Data = new PromptDataSection { PartTo = Half },
        Rollout = new RolloutSection { Prompts = 64, MaxNewTokens = 48, MicroBatchRows = 64 },
        Update = new UpdateSection { Iterations = Steps(perMinute: 30), Epochs = 2, MinibatchRows = 32, MicroBatchRows = 32 },
        // The reward model is right on seven pairs of eight: what it likes above a good answer is mostly its own fault. With no limit, a weight of 0.1 and a rate of 2e-4 the policy
        // learned to ask back where nothing was unclear, and true answers fell from 71 to 65 of a hundred; so they fall to 67.
        Ppo = new PpoSection { ScoreLimit = 1 },
        Kl = new KlSection { Coefficient = 0.3 },
        Optimizer = Rate(5e-5),
        ValueOptimizer = Rate(1e-3),
        Checkpoint = Saving,
    };

    /// <summary>Small steps: with four times as many, ten times the rate and a third of beta the policy went 12 nats away and forgot how to greet.</summary>
    public DpoRecipe Dpo => new()
    {
        Seed = Seed,
        Data = new PreferenceDataSection { PartTo = Half },
        Dpo = new DpoSection { Beta = 0.3 },
        Training = new TrainingSection { Steps = Steps(perMinute: 40), BatchRows = 16 },
        Optimizer = Rate(1e-5) with { WarmupSteps = 10 },
        Checkpoint = Saving,
    };

    private static CheckpointSection Saving => new() { EverySeconds = 30 };

    private static OptimizerSection Rate(double rate) => new() { LearningRate = rate, MinLearningRate = rate / 10, Schedule = ScheduleKind.Linear, WarmupSteps = 0, WeightDecay = 0 };

    private RewardRecipe Scorer(ulong seed, double from, double to) => new()
    {
        Seed = seed,
        Data = new PreferenceDataSection { PartFrom = from, PartTo = to, ValidationFraction = 0.05 },
        Training = new TrainingSection { Steps = Steps(perMinute: 150), BatchRows = 16 },
        Optimizer = Rate(1e-3) with { MinLearningRate = 0, WarmupSteps = 20, WeightDecay = 0.01 },
        Validation = new ValidationSection { EverySteps = int.MaxValue },
        Checkpoint = Saving,
    };

    private int Steps(double perMinute) => Math.Max(2, (int)(perMinute * Minutes));
}
