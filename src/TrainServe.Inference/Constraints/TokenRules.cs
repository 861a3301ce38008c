using TrainServe.Core.Sampling;

namespace TrainServe.Inference.Constraints;

/// <summary>Which tokens an answer may have at all, and from where on it may end.</summary>
public sealed class TokenRules : ILogitsConstraint
{
    private readonly int[] _stopIds;
    private readonly int[]? _allowed;
    private int _untilEnd;

    /// <param name="stopIds">Tokens that end the answer.</param>
    /// <param name="minTokens">Tokens before one of them may come.</param>
    /// <param name="allowed">The only tokens that may come beside those that end the answer; null for all.</param>
    public TokenRules(IReadOnlyList<int> stopIds, int minTokens, IReadOnlyList<int>? allowed)
    {
        (_stopIds, _untilEnd) = ([.. stopIds], minTokens);
        _allowed = allowed is null ? null : [.. allowed.Concat(stopIds).Distinct().Order()];
    }

    public void Mask(Span<float> logits)
    {
        if (_allowed is not null)
        {
            int next = 0;
            foreach (int id in _allowed)
            {
                logits[next..id].Fill(float.NegativeInfinity);
                next = id + 1;
            }
            logits[next..].Fill(float.NegativeInfinity);
        }
        if (_untilEnd > 0)
        {
            foreach (int id in _stopIds)
            {
                logits[id] = float.NegativeInfinity;
            }
        }
    }

    public void Accept(int id) => _untilEnd--;
}
