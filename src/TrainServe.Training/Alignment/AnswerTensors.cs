using TorchSharp;
using TrainServe.Model;
using static TorchSharp.torch;

namespace TrainServe.Training.Alignment;

// B answers, T time, C width, V vocabulary, N tokens of all answers together, one answer after the other.

/// <summary>What a reward model makes of pairs.</summary>
/// <param name="HiddenBTC">Of the better answers' rows, then of the others'.</param>
/// <param name="ChosenB">Scores of the better answers.</param>
/// <param name="RejectedB">Of the others.</param>
public sealed record PairTensors(Tensor HiddenBTC, Tensor ChosenB, Tensor RejectedB);

/// <summary>What models say of answers: log-probabilities of their tokens, scores, values.</summary>
/// <remarks>
/// Rows are padded at their end. Attention is causal and positions count from the first token, so that no real token sees padding; and what is computed at padding is never
/// read: only the answers' own positions leave this class. Means over N are thereby means over real tokens.
/// </remarks>
public static class AnswerTensors
{
    /// <summary>The rows' ids with padding at their ends.</summary>
    /// <param name="rows">At least one.</param>
    /// <param name="padding">Any token of the vocabulary.</param>
    /// <param name="device">Where to.</param>
    /// <returns>int64, [B, T], owned by the caller.</returns>
    public static Tensor Ids(IReadOnlyList<Answer> rows, int padding, Device device)
    {
        int columns = rows.Max(row => row.Ids.Length);
        var ids = new long[rows.Count * columns];
        Array.Fill(ids, padding);
        for (int row = 0; row < rows.Count; row++)
        {
            for (int i = 0; i < rows[row].Ids.Length; i++)
            {
                ids[row * columns + i] = rows[row].Ids[i];
            }
        }
        return tensor(ids, [rows.Count, columns], ScalarType.Int64, device);
    }

    /// <summary>Log-probability of each token of the answers: that of token t is read from the logits at t - 1.</summary>
    /// <param name="model">A language model.</param>
    /// <param name="rows">At least one.</param>
    /// <param name="padding">Any token of the vocabulary.</param>
    /// <param name="temperature">Divides the logits, as in the sampler.</param>
    /// <param name="withEntropy">Whether the entropy of each distribution is wanted too.</param>
    /// <returns>Natural logarithms and entropies in nats, each [N], owned by the caller.</returns>
    public static (Tensor LogProbsN, Tensor? EntropyN) LogProbs(Transformer model, IReadOnlyList<Answer> rows, int padding, float temperature = 1, bool withEntropy = false)
    {
        using var scope = NewDisposeScope();
        var hiddenNC = HiddenBefore(model, rows, padding);
        var targetsN = tensor(rows.SelectMany(row => row.Ids[row.PromptLength..]).Select(id => (long)id).ToArray(), ScalarType.Int64, model.Device);
        var logitsNV = model.Head(hiddenNC).to(ScalarType.Float32);
        var logProbsNV = nn.functional.log_softmax(temperature == 1 ? logitsNV : logitsNV / LiveScalar.Of((double)temperature), 1);
        var chosenN = logProbsNV.gather(1, targetsN.unsqueeze(1)).squeeze(1);
        var entropyN = withEntropy ? -(logProbsNV.exp() * logProbsNV).sum(1) : null;
        return (chosenN.MoveToOuterDisposeScope(), entropyN?.MoveToOuterDisposeScope());
    }

    /// <summary>The value of the state before each token of the answers: what a critic expects of the rest.</summary>
    /// <returns>[N], owned by the caller.</returns>
    public static Tensor Values(Transformer critic, IReadOnlyList<Answer> rows, int padding)
    {
        using var scope = NewDisposeScope();
        return critic.Head(HiddenBefore(critic, rows, padding)).to(ScalarType.Float32).MoveToOuterDisposeScope();
    }

    /// <summary>A reward model's score of each row, read at its last real token.</summary>
    /// <returns>[B], owned by the caller.</returns>
    public static Tensor Scores(Transformer rewardModel, IReadOnlyList<Answer> rows, int padding)
    {
        using var scope = NewDisposeScope();
        var hiddenBTC = rewardModel.Hidden(Ids(rows, padding, rewardModel.Device));
        var lastBC = At(hiddenBTC, rows.Select((row, index) => index * hiddenBTC.shape[1] + row.Ids.Length - 1));
        return rewardModel.Head(lastBC).to(ScalarType.Float32).MoveToOuterDisposeScope();
    }

    /// <summary>What a reward model makes of pairs, in one pass: scores at their ends, scores along them, and hidden states.</summary>
    /// <param name="rewardModel">Any reward model.</param>
    /// <param name="chosen">The better answers.</param>
    /// <param name="rejected">The others, each to the prompt of its pair.</param>
    /// <param name="padding">Any token of the vocabulary.</param>
    /// <returns>Owned by the caller.</returns>
    public static PairTensors Pairs(Transformer rewardModel, IReadOnlyList<Answer> chosen, IReadOnlyList<Answer> rejected, int padding)
    {
        using var scope = NewDisposeScope();
        Answer[] rows = [.. chosen, .. rejected];
        var hiddenBTC = rewardModel.Hidden(Ids(rows, padding, rewardModel.Device));
        var lastBC = At(hiddenBTC, rows.Select((row, index) => index * hiddenBTC.shape[1] + row.Ids.Length - 1));
        var scoresB = rewardModel.Head(lastBC).to(ScalarType.Float32);
        return new PairTensors(hiddenBTC.MoveToOuterDisposeScope(), scoresB.narrow(0, 0, chosen.Count).MoveToOuterDisposeScope(), scoresB.narrow(0, chosen.Count, chosen.Count).MoveToOuterDisposeScope());
    }

    /// <summary>Scores at each token of the answers that both answers of a pair have, from the first on.</summary>
    /// <param name="rewardModel">That the hidden states are of.</param>
    /// <param name="hiddenBTC">Of <see cref="Pairs"/>.</param>
    /// <param name="chosen">The better answers.</param>
    /// <param name="rejected">The others.</param>
    /// <returns>Scores of both, and one over each pair's number of places, each [N], owned by the caller.</returns>
    public static (Tensor ChosenN, Tensor RejectedN, Tensor WeightsN) ScoresAlong(Transformer rewardModel, Tensor hiddenBTC, IReadOnlyList<Answer> chosen, IReadOnlyList<Answer> rejected)
    {
        using var scope = NewDisposeScope();
        long columns = hiddenBTC.shape[1];
        int[] places = [.. chosen.Zip(rejected, (ours, theirs) => Math.Min(ours.Length, theirs.Length))];
        IEnumerable<long> Along(IReadOnlyList<Answer> answers, int first) => answers.SelectMany((answer, index) => Enumerable.Range(answer.PromptLength, places[index]).Select(place => (first + index) * columns + place));
        var chosenN = rewardModel.Head(At(hiddenBTC, Along(chosen, 0))).to(ScalarType.Float32);
        var rejectedN = rewardModel.Head(At(hiddenBTC, Along(rejected, chosen.Count))).to(ScalarType.Float32);
        var weightsN = tensor(places.SelectMany(count => Enumerable.Repeat(1f / count, count)).ToArray(), ScalarType.Float32, hiddenBTC.device);
        return (chosenN.MoveToOuterDisposeScope(), rejectedN.MoveToOuterDisposeScope(), weightsN.MoveToOuterDisposeScope());
    }

    /// <summary>The answers' tokens as targets of the positions before them; everything else counts nothing.</summary>
    /// <param name="rows">Answers.</param>
    /// <param name="columns">T of the rows that they are in.</param>
    /// <param name="device">Where to.</param>
    /// <returns>int64, [B, T], owned by the caller.</returns>
    public static Tensor Targets(IReadOnlyList<Answer> rows, long columns, Device device)
    {
        var targets = new long[rows.Count * columns];
        Array.Fill(targets, CrossEntropy.IgnoreIndex);
        for (int row = 0; row < rows.Count; row++)
        {
            for (int place = rows[row].PromptLength; place < rows[row].Ids.Length; place++)
            {
                targets[row * columns + place - 1] = rows[row].Ids[place];
            }
        }
        return tensor(targets, [rows.Count, columns], ScalarType.Int64, device);
    }

    /// <summary>Divides a sum over tokens back among the rows.</summary>
    /// <param name="valuesN">[N].</param>
    /// <param name="rows">The rows that N is over.</param>
    /// <returns>The sum of each row's tokens, [B], owned by the caller; 0 for an answer without tokens.</returns>
    public static Tensor SumByRow(Tensor valuesN, IReadOnlyList<Answer> rows)
    {
        using var scope = NewDisposeScope();
        var rowOfN = tensor(rows.SelectMany((row, index) => Enumerable.Repeat((long)index, row.Length)).ToArray(), ScalarType.Int64, valuesN.device);
        return zeros([rows.Count], valuesN.dtype, valuesN.device).index_add(0, rowOfN, valuesN, LiveScalar.Of(1)).MoveToOuterDisposeScope();
    }

    // Hidden states of the positions from which the answers' tokens are predicted, [N, C].
    private static Tensor HiddenBefore(Transformer model, IReadOnlyList<Answer> rows, int padding)
    {
        var hiddenBTC = model.Hidden(Ids(rows, padding, model.Device));
        return At(hiddenBTC, rows.SelectMany((row, index) => Enumerable.Range(row.PromptLength - 1, row.Length).Select(place => index * hiddenBTC.shape[1] + place)));
    }

    private static Tensor At(Tensor hiddenBTC, IEnumerable<long> places)
    {
        long[] list = [.. places];
        return hiddenBTC.reshape(-1, hiddenBTC.shape[2]).index_select(0, tensor(list, ScalarType.Int64, hiddenBTC.device));
    }
}
