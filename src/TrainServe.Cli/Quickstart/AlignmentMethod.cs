namespace TrainServe.Cli.Quickstart;

/// <summary>How a model is aligned.</summary>
public enum AlignmentMethod
{
    /// <summary>Answers are sampled and learned from by what a reward model says of them.</summary>
    Ppo,

    /// <summary>The pairs are learned from themselves.</summary>
    Dpo,
}
