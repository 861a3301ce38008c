using TrainServe.Core.Packaging;
using TrainServe.Core.Scoring;
using TrainServe.Inference.Execution;
using TrainServe.Inference.Scheduling;

namespace TrainServe.Inference.Scoring;

/// <summary>Scores with a reward model's exported graph.</summary>
public sealed class OnnxRewardScorer : IRewardScorer
{
    private const int Chunk = 256;
    private readonly OnnxModelRunner _runner;

    /// <param name="package">A reward model with an export in this precision.</param>
    /// <param name="precision">fp32.</param>
    /// <exception cref="ArgumentException">The package is no reward model.</exception>
    /// <exception cref="InvalidDataException">The precision was not exported and certified.</exception>
    public OnnxRewardScorer(ModelPackage package, string precision)
    {
        if (!package.Config.IsRewardModel)
        {
            throw new ArgumentException($"{package.Directory} is no reward model: it has no score.", nameof(package));
        }
        package.RequireCertificate(precision);
        ContextLength = package.Config.MaxPositionEmbeddings;
        _runner = OnnxModelRunner.Open(package.OnnxModelPath(precision), package.Config, new RunnerOptions { Slots = 1, ContextLength = ContextLength });
    }

    public int ContextLength { get; }

    public IReadOnlyList<double> Score(IReadOnlyList<int[]> rows, CancellationToken cancellationToken = default)
    {
        var scores = new double[rows.Count];
        for (int row = 0; row < scores.Length; row++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            scores[row] = Score(rows[row]);
        }
        return scores;
    }

    public void Dispose() => _runner.Dispose();

    private double Score(int[] ids)
    {
        double score = 0;
        for (int start = 0, take; start < ids.Length; start += take)
        {
            take = PrefillChunks.Next(ids.Length - start, Chunk);
            score = _runner.Prefill(0, start, ids.AsSpan(start, take), allLogits: false)[0];
        }
        return score;
    }
}
