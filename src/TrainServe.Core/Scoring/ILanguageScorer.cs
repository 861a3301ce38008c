using TrainServe.Core.Sampling;

namespace TrainServe.Core.Scoring;

/// <summary>Tokens whose probability is asked for, and what stands before them.</summary>
/// <param name="Context">At least one token.</param>
/// <param name="Continuation">At least one token; all of both but the last must fit the context length.</param>
public sealed record ScoringRequest(int[] Context, int[] Continuation);

/// <summary>What a model says of a continuation.</summary>
/// <param name="LogProbs">Natural logarithm of each token's probability.</param>
/// <param name="IsGreedy">Each token is the most likely one.</param>
public sealed record ScoredContinuation(float[] LogProbs, bool IsGreedy)
{
    public double Sum => LogProbs.Sum(logProb => (double)logProb);
}

/// <summary>A language model that is evaluated: the trainer's network and the server's engine are two of them.</summary>
public interface ILanguageScorer : IDisposable
{
    /// <summary>Most tokens that the model reads.</summary>
    int ContextLength { get; }

    /// <summary>The log-probabilities of continuations, in the order of the requests.</summary>
    IReadOnlyList<ScoredContinuation> Score(IReadOnlyList<ScoringRequest> requests, CancellationToken cancellationToken = default);

    /// <summary>Continues prompts until a stop token, which is not part of the answer, or the most tokens.</summary>
    IReadOnlyList<int[]> Generate(IReadOnlyList<int[]> prompts, int maxNewTokens, SamplingParameters sampling, IReadOnlyCollection<int> stopTokenIds, CancellationToken cancellationToken = default);
}

/// <summary>A reward model that judges.</summary>
public interface IRewardScorer : IDisposable
{
    /// <summary>Most tokens that the model reads.</summary>
    int ContextLength { get; }

    /// <summary>Scores of whole rows of tokens, read at the last.</summary>
    IReadOnlyList<double> Score(IReadOnlyList<int[]> rows, CancellationToken cancellationToken = default);
}
