using TrainServe.Core.Sampling;

namespace TrainServe.Inference;

/// <summary>One item of a request's stream.</summary>
/// <param name="Id">The chosen token. With <see cref="FinishReason.Stop"/> it is the token that ended the request and no part of the text.</param>
/// <param name="LogProb">Natural log of its probability under the model's own distribution.</param>
/// <param name="Top">The most probable tokens, most probable first, as many as were asked for.</param>
/// <param name="Finish">Set on the last item only.</param>
public readonly record struct GeneratedToken(int Id, float LogProb, IReadOnlyList<TokenLogProb> Top, FinishReason? Finish)
{
    /// <summary>Tokens of the prompt that did not have to be computed, because an earlier request began with the same ones. The same for every item of a stream.</summary>
    public int CachedPromptTokens { get; init; }
}

/// <summary>Why a request ended. A cancelled request has no last item: its stream throws <see cref="OperationCanceledException"/>.</summary>
public enum FinishReason
{
    /// <summary>A stop token was chosen.</summary>
    Stop,

    /// <summary>The request's most tokens, or the context, were reached.</summary>
    Length,
}
