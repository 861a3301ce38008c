using TrainServe.Core.Sampling;
using TrainServe.Inference.Execution;

namespace TrainServe.Inference.Scheduling;

/// <summary>What is noted of a prompt while it is computed, chunk by chunk. Only the engine's thread writes to it.</summary>
internal abstract class PromptReading
{
    /// <param name="runner">The device.</param>
    /// <param name="sampler">Knows how to make log-probabilities of logits.</param>
    /// <param name="slot">Where the prompt is cached.</param>
    /// <param name="start">Where the chunk begins.</param>
    /// <param name="tokens">The whole prompt.</param>
    /// <param name="count">Tokens of the chunk.</param>
    public abstract void Take(IModelRunner runner, TokenSampler sampler, int slot, int start, ReadOnlySpan<int> tokens, int count);
}

/// <summary>The log-probability of each token but the first, given those before it.</summary>
internal sealed class LogLikelihoodReading(int tokens) : PromptReading
{
    public float[] LogProbs { get; } = new float[tokens - 1];

    public override void Take(IModelRunner runner, TokenSampler sampler, int slot, int start, ReadOnlySpan<int> tokens, int count)
    {
        var logits = runner.Prefill(slot, start, tokens.Slice(start, count), allLogits: true);
        for (int row = 0; row < count && start + row < LogProbs.Length; row++)
        {
            LogProbs[start + row] = sampler.LogProb(logits.Slice(row * runner.VocabSize, runner.VocabSize), tokens[start + row + 1]);
        }
    }
}

/// <summary>The mean of the hidden states after all tokens.</summary>
internal sealed class MeanHiddenReading(int width) : PromptReading
{
    private readonly double[] _sum = new double[width];
    private int _count;

    public float[] Mean => Array.ConvertAll(_sum, value => (float)(value / _count));

    public override void Take(IModelRunner runner, TokenSampler sampler, int slot, int start, ReadOnlySpan<int> tokens, int count)
    {
        var hidden = runner.PrefillHidden(slot, start, tokens.Slice(start, count));
        for (int i = 0; i < hidden.Length; i++)
        {
            _sum[i % width] += hidden[i];
        }
        _count += count;
    }
}

/// <summary>A reward model's score after the last token.</summary>
internal sealed class RewardReading : PromptReading
{
    public float Score { get; private set; }

    public override void Take(IModelRunner runner, TokenSampler sampler, int slot, int start, ReadOnlySpan<int> tokens, int count) =>
        Score = runner.Prefill(slot, start, tokens.Slice(start, count), allLogits: false)[0];
}
