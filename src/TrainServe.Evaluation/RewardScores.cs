using TrainServe.Core.Data;
using TrainServe.Core.Scoring;

namespace TrainServe.Evaluation;

/// <summary>What a reward model says of answers.</summary>
internal static class RewardScores
{
    /// <param name="judge">The reward model.</param>
    /// <param name="rows">Prompts with their answers.</param>
    /// <param name="origin">Where a row came from.</param>
    /// <param name="cancellationToken">Stops the scoring.</param>
    /// <exception cref="InvalidDataException">A score is no finite number, which is neither above nor below another; the message names file and line.</exception>
    public static double[] Of(IRewardScorer judge, IReadOnlyList<int[]> rows, Func<int, RecordOrigin> origin, CancellationToken cancellationToken) =>
        [.. judge.Score(rows, cancellationToken).Select((score, index) => double.IsFinite(score) ? score
            : throw new InvalidDataException($"{origin(index)}: the reward model gives {score} to an answer, which cannot be compared; its weights are damaged or too large."))];
}
