using TorchSharp;
using TrainServe.Model;
using TrainServe.Training.Data;
using TrainServe.Training.Distributed;

namespace TrainServe.Training.Loops;

/// <summary>Held-out rows of one source, the same at every measurement.</summary>
/// <param name="Name">What its loss is called.</param>
/// <param name="Weight">Its part of the total loss, against the other sources'.</param>
/// <param name="Batches">Makes them.</param>
public sealed record ValidationSource(string Name, double Weight, Func<IEnumerable<TokenBatch>> Batches)
{
    /// <summary>Tokens for each byte of text; null where it is not known.</summary>
    public double? TokensPerByte { get; init; }
}

/// <summary>What a measurement found.</summary>
/// <param name="Loss">The sources' losses by their weights, nats a token.</param>
/// <param name="LossBySource">Mean over each source's learned tokens, nats.</param>
public sealed record MeasuredLoss(double Loss, IReadOnlyDictionary<string, double> LossBySource)
{
    /// <summary>What else was measured, by name: an accuracy.</summary>
    public IReadOnlyDictionary<string, double> Scalars { get; init; } = new Dictionary<string, double>(StringComparer.Ordinal);
}

/// <summary>Measures the loss without dropout and without changing anything. Several processes take the batches in turn.</summary>
public static class LossMeasurement
{
    /// <exception cref="OperationCanceledException">It was asked to stop.</exception>
    public static MeasuredLoss Run(Transformer model, IReadOnlyList<ValidationSource> sources, IProcessGroup? group = null, CancellationToken cancellationToken = default)
    {
        var processes = group ?? SingleProcess.Instance;
        model.eval();
        using var noGradient = torch.no_grad();
        var losses = new OrderedDictionary<string, double>(StringComparer.Ordinal);
        foreach (var source in sources)
        {
            double[] sums = [0, 0];
            foreach (var batches in source.Batches().Chunk(processes.Size))
            {
                processes.ThrowIfStopped(cancellationToken);
                if (processes.Rank < batches.Length)
                {
                    using var scope = torch.NewDisposeScope();
                    sums[0] += BatchTensors.LossSum(model, batches[processes.Rank]).item<float>();
                    sums[1] += batches[processes.Rank].LearnedTokens;
                }
            }
            processes.Sum(sums);
            losses[source.Name] = sums[1] > 0 ? sums[0] / sums[1] : throw new InvalidDataException($"The validation rows of {source.Name} have no token to measure.");
        }
        double weights = sources.Sum(source => source.Weight);
        return new MeasuredLoss(sources.Sum(source => source.Weight * losses[source.Name]) / weights, losses);
    }
}
