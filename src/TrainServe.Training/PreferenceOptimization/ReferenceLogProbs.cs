using System.Globalization;
using System.Text;
using TorchSharp;
using TrainServe.Core.Packaging;
using TrainServe.Model;
using TrainServe.Training.Alignment;
using static TorchSharp.torch;

namespace TrainServe.Training.PreferenceOptimization;

/// <summary>What the reference says of every answer, computed once and kept in a file: afterwards the reference is not needed any more.</summary>
/// <remarks>The file is keyed by the reference's weights, by what computes, and by the tokens of every pair, which change with data, template and tokenizer.</remarks>
internal sealed class ReferenceLogProbs
{
    private const string Key = "key", FileName = "reference.safetensors";
    private readonly Dictionary<EncodedPair, (float Chosen, float Rejected)> _sums = new(ReferenceEqualityComparer.Instance);

    private ReferenceLogProbs()
    {
    }

    /// <summary>Sums over the answers' tokens, nats.</summary>
    public (float Chosen, float Rejected) this[EncodedPair pair] => _sums[pair];

    /// <summary>Reads them where they were kept for the same reference and data, and computes them otherwise.</summary>
    /// <param name="data">The pairs.</param>
    /// <param name="reference">The model at the start; it is not changed.</param>
    /// <param name="referenceSha256">Hash of its weights.</param>
    /// <param name="padding">Fills rows.</param>
    /// <param name="rows">Pairs at once.</param>
    /// <param name="directory">Where the file is.</param>
    /// <param name="note">Is told what is done.</param>
    /// <param name="stop">Stops the computation.</param>
    public static ReferenceLogProbs Of(PreferenceData data, Transformer reference, string referenceSha256, int padding, int rows, string directory, Action<string> note, CancellationToken stop)
    {
        string path = Path.Combine(directory, FileName);
        string key = FileHash.OfBytes(Encoding.UTF8.GetBytes(string.Join('\n', data.Identity().Select(source => $"{source.Key} {source.Value}").Prepend($"{referenceSha256} {reference.Kernels.Name}"))));
        EncodedPair[] pairs = [.. data.Sources.SelectMany(source => source.Train.Concat(source.Validation))];
        var found = new ReferenceLogProbs();
        if (File.Exists(path) && found.TryRead(path, key, pairs))
        {
            note("The reference's log-probabilities are those of an earlier session.");
            return found;
        }
        found.Compute(pairs, reference, padding, rows, stop);
        Directory.CreateDirectory(directory);
        long[] shape = [pairs.Length];
        SafeTensorsWriter.Write(path,
            [SafeTensor.Singles("chosen", shape, pairs.Select(pair => found[pair].Chosen).ToArray()), SafeTensor.Singles("rejected", shape, pairs.Select(pair => found[pair].Rejected).ToArray())],
            new Dictionary<string, string>(StringComparer.Ordinal) { [Key] = key });
        note(string.Create(CultureInfo.InvariantCulture, $"The reference's log-probabilities of {2 * pairs.Length} answers were computed."));
        return found;
    }

    private bool TryRead(string path, string key, EncodedPair[] pairs)
    {
        using var file = SafeTensorsReader.Open(path);
        if (file.Metadata.GetValueOrDefault(Key) != key)
        {
            return false;
        }
        float[] chosen = file.ReadSingles("chosen"), rejected = file.ReadSingles("rejected");
        for (int i = 0; i < pairs.Length; i++)
        {
            _sums[pairs[i]] = (chosen[i], rejected[i]);
        }
        return true;
    }

    private void Compute(EncodedPair[] pairs, Transformer reference, int padding, int rows, CancellationToken stop)
    {
        reference.eval();
        using var noGradient = no_grad();
        foreach (var micro in pairs.OrderBy(pair => pair.Columns).Chunk(rows))
        {
            stop.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            float[] sums = PairLogProbs.Sums(reference, micro, padding).cpu().data<float>().ToArray();
            for (int i = 0; i < micro.Length; i++)
            {
                _sums[micro[i]] = (sums[i], sums[micro.Length + i]);
            }
        }
    }
}

/// <summary>Log-probabilities of both sides of pairs in one batch.</summary>
internal static class PairLogProbs
{
    /// <returns>Sums over the tokens of the better answers, then of the others, [2B], owned by the caller.</returns>
    public static Tensor Sums(Transformer model, IReadOnlyList<EncodedPair> pairs, int padding)
    {
        using var scope = NewDisposeScope();
        Answer[] rows = [.. pairs.Select(pair => pair.Chosen), .. pairs.Select(pair => pair.Rejected)];
        var (logProbsN, _) = AnswerTensors.LogProbs(model, rows, padding);
        return AnswerTensors.SumByRow(logProbsN, rows).MoveToOuterDisposeScope();
    }
}
