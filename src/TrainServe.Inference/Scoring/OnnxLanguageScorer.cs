using System.Numerics.Tensors;
using TrainServe.Core.Packaging;
using TrainServe.Core.Random;
using TrainServe.Core.Sampling;
using TrainServe.Core.Scoring;
using TrainServe.Inference.Execution;

namespace TrainServe.Inference.Scoring;

// V vocabulary.

/// <summary>Scores and continues with the exported graph that the server runs.</summary>
public sealed class OnnxLanguageScorer : ILanguageScorer
{
    private readonly OnnxModelRunner _runner;
    private readonly TokenSampler _sampler;

    /// <param name="package">With an export in this precision.</param>
    /// <param name="precision">fp32, int8...</param>
    /// <exception cref="InvalidDataException">The precision was not exported and certified.</exception>
    public OnnxLanguageScorer(ModelPackage package, string precision)
    {
        package.RequireCertificate(precision);
        ContextLength = package.Config.MaxPositionEmbeddings;
        _runner = OnnxModelRunner.Open(package.OnnxModelPath(precision), package.Config, new RunnerOptions { Slots = 1, ContextLength = ContextLength });
        _sampler = new TokenSampler(package.Config.VocabSize);
    }

    public int ContextLength { get; }

    public IReadOnlyList<ScoredContinuation> Score(IReadOnlyList<ScoringRequest> requests, CancellationToken cancellationToken = default)
    {
        var found = new List<ScoredContinuation>(requests.Count);
        foreach (var request in requests)
        {
            cancellationToken.ThrowIfCancellationRequested();
            found.Add(Score(request));
        }
        return found;
    }

    public IReadOnlyList<int[]> Generate(IReadOnlyList<int[]> prompts, int maxNewTokens, SamplingParameters sampling, IReadOnlyCollection<int> stopTokenIds, CancellationToken cancellationToken = default)
    {
        var answers = new List<int[]>(prompts.Count);
        for (int row = 0; row < prompts.Count; row++)
        {
            // As the trainer's generator does: row 0 draws with the seed itself.
            ulong seed = sampling.Seed ?? 0;
            answers.Add(Generate(prompts[row], maxNewTokens, sampling, row == 0 ? seed : new PhiloxRandom(seed, stream: (ulong)row).NextUInt64(), stopTokenIds, cancellationToken));
        }
        return answers;
    }

    public void Dispose() => _runner.Dispose();

    private ScoredContinuation Score(ScoringRequest request)
    {
        int[] read = [.. request.Context, .. request.Continuation[..^1]];
        int before = request.Context.Length - 1, width = _runner.VocabSize;
        var logits = _runner.Prefill(0, 0, read, allLogits: true);
        var logProbs = new float[request.Continuation.Length];
        bool isGreedy = true;
        for (int i = 0; i < logProbs.Length; i++)
        {
            var row = logits.Slice((before + i) * width, width);
            int best = TensorPrimitives.IndexOfMax(row);
            isGreedy &= best == request.Continuation[i];
            logProbs[i] = row[request.Continuation[i]] - row[best] - MathF.Log(SumExp(row, row[best]));
        }
        return new ScoredContinuation(logProbs, isGreedy);
    }

    private int[] Generate(int[] prompt, int maxNewTokens, SamplingParameters sampling, ulong seed, IReadOnlyCollection<int> stops, CancellationToken cancellationToken)
    {
        var answer = new List<int>();
        int most = Math.Min(maxNewTokens, ContextLength - prompt.Length);
        var history = sampling.NeedsHistory ? new TokenHistory(prompt) : null;
        for (int position = 0; position < most; position++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var logits = position == 0 ? _runner.Prefill(0, 0, prompt, allLogits: false) : _runner.Decode([answer[^1]], [prompt.Length + position - 1]);
            int id = _sampler.Sample(logits, sampling, history, seed, position).Id;
            if (stops.Contains(id))
            {
                break;
            }
            answer.Add(id);
            history?.Add(id);
        }
        return [.. answer];
    }

    private static float SumExp(ReadOnlySpan<float> logits, float most)
    {
        float sum = 0;
        foreach (float logit in logits)
        {
            sum += MathF.Exp(logit - most);
        }
        return sum;
    }
}
