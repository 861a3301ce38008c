using TorchSharp;
using TrainServe.Core.Packaging;
using TrainServe.Core.Sampling;
using TrainServe.Core.Scoring;
using TrainServe.Model.Generation;
using static TorchSharp.torch;

namespace TrainServe.Model.Scoring;

// B rows, T time, C width, V vocabulary, N tokens of all continuations together.

/// <summary>Scores and continues with the network that training uses.</summary>
public sealed class TorchLanguageScorer : ILanguageScorer
{
    private const int Rows = 16;
    private readonly Transformer _model;
    private readonly TextGenerator _generator;

    /// <exception cref="ArgumentException">The package is a reward model.</exception>
    public TorchLanguageScorer(ModelPackage package)
    {
        _model = Transformer.Load(package);
        _model.Kernels = TrainingKernels.Choose(TrainingPrecision.Float32, _model);
        try
        {
            _generator = new TextGenerator(_model);
        }
        catch
        {
            _model.Dispose();
            throw;
        }
    }

    public int ContextLength => _model.Config.MaxPositionEmbeddings;

    public IReadOnlyList<ScoredContinuation> Score(IReadOnlyList<ScoringRequest> requests, CancellationToken cancellationToken = default)
    {
        var found = new ScoredContinuation[requests.Count];
        using var noGradient = no_grad();
        // Rows of like length go together: less padding.
        foreach (int[] batch in Enumerable.Range(0, requests.Count).OrderBy(index => Length(requests[index])).Chunk(Rows))
        {
            cancellationToken.ThrowIfCancellationRequested();
            Score([.. batch.Select(index => requests[index])], (row, scored) => found[batch[row]] = scored);
        }
        return found;
    }

    public IReadOnlyList<int[]> Generate(IReadOnlyList<int[]> prompts, int maxNewTokens, SamplingParameters sampling, IReadOnlyCollection<int> stopTokenIds, CancellationToken cancellationToken = default) =>
        [.. _generator.GenerateBatch(prompts, maxNewTokens, sampling, stopTokenIds, cancellation: cancellationToken).Select(sequence => sequence.ContentIds)];

    public void Dispose() => _model.Dispose();

    // The last token is only a target.
    private static int Length(ScoringRequest request) => request.Context.Length + request.Continuation.Length - 1;

    private void Score(ScoringRequest[] requests, Action<int, ScoredContinuation> keep)
    {
        using var scope = NewDisposeScope();
        int columns = requests.Max(Length);
        var ids = new long[requests.Length * columns];
        var places = new List<long>();
        var targets = new List<long>();
        for (int row = 0; row < requests.Length; row++)
        {
            var (context, continuation) = (requests[row].Context, requests[row].Continuation);
            for (int i = 0; i < Length(requests[row]); i++)
            {
                ids[row * columns + i] = i < context.Length ? context[i] : continuation[i - context.Length];
            }
            for (int i = 0; i < continuation.Length; i++)
            {
                places.Add(row * columns + context.Length - 1 + i);
                targets.Add(continuation[i]);
            }
        }
        // Padding stands behind: causal attention keeps it from being seen.
        var hiddenBTC = _model.Hidden(tensor(ids, [requests.Length, columns], ScalarType.Int64, _model.Device));
        var hiddenNC = hiddenBTC.reshape(-1, hiddenBTC.shape[2]).index_select(0, tensor(places.ToArray(), ScalarType.Int64, _model.Device));
        var logitsNV = _model.Head(hiddenNC).to(ScalarType.Float32);
        var targetsN = tensor(targets.ToArray(), ScalarType.Int64, _model.Device);
        float[] logProbs = nn.functional.log_softmax(logitsNV, 1).gather(1, targetsN.unsqueeze(1)).squeeze(1).cpu().data<float>().ToArray();
        bool[] greedy = logitsNV.argmax(1).eq(targetsN).cpu().data<bool>().ToArray();
        int start = 0;
        for (int row = 0; row < requests.Length; row++)
        {
            int length = requests[row].Continuation.Length;
            keep(row, new ScoredContinuation(logProbs[start..(start + length)], greedy.AsSpan(start, length).IndexOf(false) < 0));
            start += length;
        }
    }
}

/// <summary>Scores with the network that training uses.</summary>
public sealed class TorchRewardScorer : IRewardScorer
{
    private const int Rows = 16;
    private readonly Transformer _model;

    /// <exception cref="ArgumentException">The package is no reward model.</exception>
    public TorchRewardScorer(ModelPackage package)
    {
        _model = package.Config.IsRewardModel ? Transformer.Load(package) : throw new ArgumentException($"{package.Directory} is no reward model: it has no score.", nameof(package));
        _model.Kernels = TrainingKernels.Choose(TrainingPrecision.Float32, _model);
    }

    public int ContextLength => _model.Config.MaxPositionEmbeddings;

    public IReadOnlyList<double> Score(IReadOnlyList<int[]> rows, CancellationToken cancellationToken = default)
    {
        var scores = new double[rows.Count];
        using var noGradient = no_grad();
        foreach (int[] batch in Enumerable.Range(0, rows.Count).OrderBy(index => rows[index].Length).Chunk(Rows))
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            int columns = rows[batch[^1]].Length;
            var ids = new long[batch.Length * columns];
            for (int row = 0; row < batch.Length; row++)
            {
                rows[batch[row]].Select(id => (long)id).ToArray().CopyTo(ids, row * columns);
            }
            var hiddenBTC = _model.Hidden(tensor(ids, [batch.Length, columns], ScalarType.Int64, _model.Device));
            long[] last = [.. batch.Select((index, row) => (long)row * columns + rows[index].Length - 1)];
            var lastBC = hiddenBTC.reshape(-1, hiddenBTC.shape[2]).index_select(0, tensor(last, ScalarType.Int64, _model.Device));
            float[] found = _model.Head(lastBC).to(ScalarType.Float32).cpu().data<float>().ToArray();
            for (int row = 0; row < batch.Length; row++)
            {
                scores[batch[row]] = found[row];
            }
        }
        return scores;
    }

    public void Dispose() => _model.Dispose();
}
