using TrainServe.Core.Sampling;
using TrainServe.Core.Scoring;

namespace TrainServe.Evaluation.Tests;

/// <summary>A language model whose every number a test decides.</summary>
internal sealed class FakeScorer : ILanguageScorer
{
    public int ContextLength { get; init; } = 64;

    /// <summary>Log-probability of each token of a continuation, and whether it is the most likely one.</summary>
    public Func<ScoringRequest, ScoredContinuation> Judge { get; init; } = _ => throw new InvalidOperationException("Nothing is to be scored.");

    /// <summary>The answer to a prompt's tokens.</summary>
    public Func<int[], int[]> Answer { get; init; } = _ => throw new InvalidOperationException("Nothing is to be answered.");

    public List<ScoringRequest> Requests { get; } = [];

    public IReadOnlyList<ScoredContinuation> Score(IReadOnlyList<ScoringRequest> requests, CancellationToken cancellationToken = default)
    {
        Requests.AddRange(requests);
        return [.. requests.Select(Judge)];
    }

    public IReadOnlyList<int[]> Generate(IReadOnlyList<int[]> prompts, int maxNewTokens, SamplingParameters sampling, IReadOnlyCollection<int> stopTokenIds, CancellationToken cancellationToken = default) => [.. prompts.Select(Answer)];

    public void Dispose()
    {
    }
}

/// <summary>A reward model whose scores a test decides.</summary>
internal sealed class FakeJudge(Func<int[], double> score) : IRewardScorer
{
    public int ContextLength { get; init; } = 64;

    public IReadOnlyList<double> Score(IReadOnlyList<int[]> rows, CancellationToken cancellationToken = default) => [.. rows.Select(score)];

    public void Dispose()
    {
    }
}
