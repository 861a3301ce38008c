namespace TrainServe.Core.Sampling;

/// <summary>Which tokens a sequence holds so far, for the penalties.</summary>
public sealed class TokenHistory
{
    private readonly HashSet<int> _prompt;
    private readonly Dictionary<int, int> _generated = [];

    public TokenHistory(ReadOnlySpan<int> prompt) => _prompt = [.. prompt];

    public void Add(int id) => _generated[id] = _generated.GetValueOrDefault(id) + 1;

    /// <summary>Changes the logits of the tokens that were seen.</summary>
    internal void Penalize(Span<float> logits, SamplingParameters parameters)
    {
        if (parameters.RepetitionPenalty != 1)
        {
            foreach (int id in _prompt)
            {
                Repeat(logits, id, parameters.RepetitionPenalty);
            }
            foreach (int id in _generated.Keys)
            {
                if (!_prompt.Contains(id))
                {
                    Repeat(logits, id, parameters.RepetitionPenalty);
                }
            }
        }
        foreach (var (id, count) in _generated)
        {
            logits[id] -= count * parameters.FrequencyPenalty + parameters.PresencePenalty;
        }
    }

    private static void Repeat(Span<float> logits, int id, float penalty) =>
        logits[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
}
