using System.Numerics.Tensors;
using TrainServe.Core.Packaging;
using TrainServe.Export;
using TrainServe.Inference.Execution;

namespace TrainServe.Publishing.Calibration;

// V vocabulary.

/// <summary>Reads the same text with the model in single precision and with fewer bits, and compares what they predict.</summary>
internal sealed class CostMeasurement(OnnxModelRunner reference, OnnxModelRunner quantized)
{
    // Few rows of logits at a time: a large vocabulary makes them large.
    private const int Chunk = 64;
    private double _referenceLoss, _loss, _divergence;
    private int _tokens, _agreed;

    public QuantizationCost Measure(CalibrationText text, double maxIncrease)
    {
        foreach (int[] sequence in text.HeldOut)
        {
            for (int start = 0; start < sequence.Length;)
            {
                int take = sequence.Length - start <= Chunk + 1 ? sequence.Length - start : Chunk;
                var expected = reference.Prefill(0, start, sequence.AsSpan(start, take), allLogits: true);
                var actual = quantized.Prefill(0, start, sequence.AsSpan(start, take), allLogits: true);
                Compare(expected, actual, sequence.AsSpan(start + 1, Math.Min(take, sequence.Length - start - 1)));
                start += take;
            }
        }
        return new QuantizationCost
        {
            Source = text.Source,
            SourceSha256 = text.SourceSha256,
            Tokens = _tokens,
            ReferencePerplexity = Math.Exp(_referenceLoss / _tokens),
            Perplexity = Math.Exp(_loss / _tokens),
            MaxIncrease = maxIncrease,
            GreedyAgreement = (double)_agreed / _tokens,
            Divergence = _divergence / _tokens,
        };
    }

    private void Compare(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, ReadOnlySpan<int> next)
    {
        int vocabSize = reference.VocabSize;
        float[] p = new float[vocabSize], q = new float[vocabSize];
        for (int row = 0; row < next.Length; row++)
        {
            LogSoftmax(expected.Slice(row * vocabSize, vocabSize), p);
            LogSoftmax(actual.Slice(row * vocabSize, vocabSize), q);
            _referenceLoss -= p[next[row]];
            _loss -= q[next[row]];
            _agreed += TensorPrimitives.IndexOfMax<float>(p) == TensorPrimitives.IndexOfMax<float>(q) ? 1 : 0;
            _divergence += Divergence(p, q);
            _tokens++;
        }
    }

    private static double Divergence(ReadOnlySpan<float> p, Span<float> q)
    {
        TensorPrimitives.Subtract(p, q, q);
        double sum = 0;
        for (int i = 0; i < p.Length; i++)
        {
            sum += Math.Exp(p[i]) * q[i];
        }
        return sum;
    }

    private static void LogSoftmax(ReadOnlySpan<float> logits, Span<float> result)
    {
        TensorPrimitives.Subtract(logits, TensorPrimitives.Max(logits), result);
        double sum = 0;
        foreach (float difference in result)
        {
            sum += Math.Exp(difference);
        }
        TensorPrimitives.Subtract(result, (float)Math.Log(sum), result);
    }
}
