using TrainServe.Training.Optimization;

namespace TrainServe.Training.Recipes;

/// <summary>What changes the weights.</summary>
public enum OptimizerKind
{
    /// <summary>AdamW for all of them.</summary>
    Adamw,

    /// <summary>Muon for the blocks' matrices, AdamW for the rest.</summary>
    Muon,
}

/// <summary>The optimizer and its schedule.</summary>
public sealed record OptimizerSection : IRecipeSection
{
    public OptimizerKind Kind { get; init; } = OptimizerKind.Adamw;

    /// <summary>Of Muon.</summary>
    public double MuonMomentum { get; init; } = 0.95;

    /// <summary>The highest rate, reached at the end of warm-up.</summary>
    public double LearningRate { get; init; } = 1e-3;

    /// <summary>The rate at the last step.</summary>
    public double MinLearningRate { get; init; } = 1e-4;
    public ScheduleKind Schedule { get; init; } = ScheduleKind.Cosine;

    /// <summary>Steps over which the rate rises.</summary>
    public int WarmupSteps { get; init; } = 100;

    /// <summary>Of <c>wsd</c>: the last part of the steps, over which the rate falls linearly.</summary>
    public double DecayFraction { get; init; } = 0.2;
    public double Beta1 { get; init; } = 0.9;
    public double Beta2 { get; init; } = 0.99;
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Of matrices, embeddings included; norms never decay.</summary>
    public double WeightDecay { get; init; } = 0.1;

    /// <summary>Largest norm of all gradients together; 0 does not clip.</summary>
    public double ClipNorm { get; init; } = 1;

    public void Check(RecipeRules rules)
    {
        rules.Positive(nameof(LearningRate), LearningRate);
        rules.NotNegative(nameof(MinLearningRate), MinLearningRate);
        rules.Require(MinLearningRate <= LearningRate, nameof(MinLearningRate), MinLearningRate, $"must not be above learning_rate, {LearningRate}");
        rules.Range(nameof(WarmupSteps), WarmupSteps, 0);
        rules.Require(DecayFraction is > 0 and <= 1, nameof(DecayFraction), DecayFraction, "must be above 0 and at most 1");
        rules.Fraction(nameof(MuonMomentum), MuonMomentum);
        rules.Fraction(nameof(Beta1), Beta1);
        rules.Fraction(nameof(Beta2), Beta2);
        rules.Positive(nameof(Epsilon), Epsilon);
        rules.NotNegative(nameof(WeightDecay), WeightDecay);
        rules.NotNegative(nameof(ClipNorm), ClipNorm);
    }
}
