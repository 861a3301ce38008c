using TrainServe.Core;
using TrainServe.Core.Sampling;

namespace TrainServe.Cli.Generation;

/// <summary>What is to be continued, and how.</summary>
public sealed record ContinuationRequest(int[] PromptIds, int MaxTokens, SamplingParameters Sampling)
{
    /// <exception cref="RecipeException">Nothing fits: an empty prompt, one as long as the context, or no token asked for.</exception>
    public ContinuationRequest Validated(ModelConfig config)
    {
        Sampling.Validated(config.VocabSize);
        if (MaxTokens < 1)
        {
            throw new RecipeException($"--max-tokens is {MaxTokens}; it must be at least 1.");
        }
        if (PromptIds.Length == 0)
        {
            throw new RecipeException("The prompt is empty and this model has no token that begins a text.");
        }
        if (PromptIds.Length >= config.MaxPositionEmbeddings)
        {
            throw new RecipeException($"The prompt has {PromptIds.Length} tokens; the context holds {config.MaxPositionEmbeddings} for prompt and answer together.");
        }
        return this;
    }
}

/// <summary>What was generated, without the token that ended it.</summary>
/// <param name="LogProbs">Natural logarithms, of the model's own distribution.</param>
public sealed record Continuation(IReadOnlyList<int> Ids, IReadOnlyList<float> LogProbs);
