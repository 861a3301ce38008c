using TorchSharp.Modules;
using TrainServe.Core.Packaging;
using TrainServe.Training.Checkpointing;

namespace TrainServe.Training.Alignment;

/// <summary>What a step of an objective did.</summary>
/// <param name="Loss">What is shown and kept as the run's training loss.</param>
/// <param name="GradientNorm">Before clipping; the mean where a step makes several updates.</param>
/// <param name="LearningRate">Of the step.</param>
/// <param name="Tokens">Tokens learned from.</param>
/// <param name="Scalars">For the metrics.</param>
public sealed record ObjectiveStep(double Loss, double GradientNorm, double LearningRate, long Tokens, IReadOnlyDictionary<string, double> Scalars)
{
    /// <summary>A gradient was not finite, so that an update was left out.</summary>
    public bool IsSkipped { get; init; }

    /// <summary>Texts for the metrics: samples.</summary>
    public IReadOnlyDictionary<string, string>? Texts { get; init; }

    /// <summary>Which examples the step was made of, for messages.</summary>
    public string Origin { get; init; } = "";

    /// <summary>A sentence for the person who watches, when there is something to say.</summary>
    public string? Alarm { get; init; }
}

/// <summary>What an objective keeps between steps beside tensors. The numbers come back from a checkpoint to the last bit.</summary>
public sealed record ObjectiveState
{
    /// <summary>Updates of each optimizer.</summary>
    public IReadOnlyDictionary<string, long> Updates { get; init; } = new Dictionary<string, long>(StringComparer.Ordinal);

    /// <summary>Coefficients, means, counts.</summary>
    public IReadOnlyDictionary<string, double> Values { get; init; } = new Dictionary<string, double>(StringComparer.Ordinal);
}

/// <summary>What a measurement on held-out examples found; less is better.</summary>
public sealed record ObjectiveMeasurement(double Loss, IReadOnlyDictionary<string, double> LossBySource, IReadOnlyDictionary<string, double> Scalars);

/// <summary>Something to be trained for that is not the next token of fixed data. Every number of a step is a function of recipe, data, seed and the steps before it.</summary>
/// <remarks>Of several processes each has an objective of its own; all are called alike, share every step's work, and give the same numbers.</remarks>
public interface IObjective : IDisposable
{
    /// <summary>Steps of the run.</summary>
    long TotalSteps { get; }

    /// <summary>What it keeps between steps beside tensors.</summary>
    ObjectiveState State { get; }

    /// <summary>All weights that it changes. Several processes change them in the same way.</summary>
    IEnumerable<Parameter> Parameters { get; }

    /// <summary>Makes what must be there before the first step and is kept in checkpoints; not called on a run that is resumed.</summary>
    void Begin(Action<string> note, CancellationToken stop);

    /// <summary>One step.</summary>
    /// <param name="step">From 0.</param>
    ObjectiveStep Advance(long step);

    /// <summary>Measures on what is held out; null when nothing is.</summary>
    ObjectiveMeasurement? Measure(CancellationToken stop);

    /// <summary>The weights that are kept when a measurement is the best: the model to be published.</summary>
    Dictionary<string, IReadOnlyList<SafeTensor>> Weights();

    /// <summary>Everything else that a resumed run needs.</summary>
    void AddRest(Dictionary<string, IReadOnlyList<SafeTensor>> files);

    /// <summary>Goes back to a checkpoint.</summary>
    void Restore(Checkpoint checkpoint, ObjectiveState state);

    /// <summary>Goes back to weights alone, to publish them.</summary>
    void RestoreWeights(Checkpoint best);
}
