using TorchSharp;
using TrainServe.Model;
using static TorchSharp.torch;

namespace TrainServe.Training.Alignment;

// B answers, T time, C width, V vocabulary, N tokens of all answers together, one answer after the other.

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
