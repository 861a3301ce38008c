namespace TrainServe.Inference.Speculation;

/// <summary>Whether guessing pays: whether verified guesses come sooner than single tokens would.</summary>
/// <remarks>Both are measured while they are used. Where guessing does not pay it is tried again after ever more steps, so that it costs next to nothing; where it does, a single step now and then keeps the comparison true.</remarks>
internal sealed class SpeculationPace
{
    private const double Weight = 0.2;
    private const int FirstMeasured = 3, ShortestPause = 16, LongestPause = 1024, Refresh = 64;
    private double _plainSeconds, _verifySeconds, _tokens;
    private int _plainSteps, _verifySteps, _pause = ShortestPause, _wait, _sinceRefresh;

    /// <summary>Tokens guessed so far.</summary>
    public long Drafted { get; private set; }

    /// <summary>Those of them that were right.</summary>
    public long Accepted { get; private set; }

    private bool Pays => _verifySteps < FirstMeasured || _tokens * _plainSeconds > _verifySeconds;

    /// <summary>Whether to guess before the next step.</summary>
    public bool ShouldGuess => _plainSteps >= FirstMeasured && (Pays ? _sinceRefresh < Refresh : _wait <= 0);

    /// <summary>A step gave one token.</summary>
    public void Plain(double seconds)
    {
        _plainSeconds = Mean(_plainSeconds, seconds, _plainSteps++);
        (_wait, _sinceRefresh) = (_wait - 1, 0);
    }

    /// <summary>A step verified guesses.</summary>
    /// <param name="seconds">With the guessing.</param>
    /// <param name="drafted">How many were guessed.</param>
    /// <param name="accepted">How many were right; the step gave one token more.</param>
    public void Verified(double seconds, int drafted, int accepted)
    {
        (Drafted, Accepted) = (Drafted + drafted, Accepted + accepted);
        _verifySeconds = Mean(_verifySeconds, seconds, _verifySteps);
        _tokens = Mean(_tokens, accepted + 1, _verifySteps++);
        _sinceRefresh++;
        if (Pays)
        {
            _pause = ShortestPause;
        }
        else
        {
            (_wait, _pause) = (_pause, Math.Min(2 * _pause, LongestPause));
        }
    }

    // The first few count alike, so that one slow first step is soon forgotten.
    private static double Mean(double mean, double value, int steps) => mean + Math.Max(Weight, 1.0 / (steps + 1)) * (value - mean);
}
