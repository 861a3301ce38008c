namespace TrainServe.Inference.Decoding;

/// <summary>Finds stop strings in text that comes in pieces, and holds back what may be the start of one.</summary>
/// <remarks>
/// The first stop string to be completed ends the text, just before it; of several that end at the same character the longest counts. The result does
/// not depend on how the text is cut into pieces. Characters are compared by value. Not for use from several threads.
/// </remarks>
public sealed class StopStringMatcher
{
    private readonly string[] _stops;
    private string _held = "";

    /// <exception cref="ArgumentException">A stop string is empty.</exception>
    public StopStringMatcher(IReadOnlyList<string> stops)
    {
        _stops = [.. stops];
        if (_stops.Contains("", StringComparer.Ordinal))
        {
            throw new ArgumentException("A stop string is empty; it must have at least one character.", nameof(stops));
        }
    }

    /// <summary>A stop string was found; nothing comes out any more.</summary>
    public bool IsMatched => Matched is not null;

    /// <summary>The stop string that was found.</summary>
    public string? Matched { get; private set; }

    /// <summary>Takes the next piece and gives the text that is now known to come before any stop string.</summary>
    public string Push(string piece)
    {
        if (IsMatched)
        {
            return "";
        }
        string text = _held + piece;
        int end = int.MaxValue;
        foreach (string stop in _stops)
        {
            int at = text.IndexOf(stop, StringComparison.Ordinal);
            if (at >= 0 && (at + stop.Length < end || (at + stop.Length == end && stop.Length > Matched!.Length)))
            {
                (end, Matched) = (at + stop.Length, stop);
            }
        }
        if (Matched is not null)
        {
            _held = "";
            return text[..(end - Matched.Length)];
        }
        int kept = text.Length - LongestOpenEnd(text);
        _held = text[kept..];
        return text[..kept];
    }

    /// <summary>The end of the text: gives what was held back.</summary>
    public string Flush()
    {
        string rest = _held;
        _held = "";
        return rest;
    }

    /// <summary>Length of the longest end of the text with which a stop string begins.</summary>
    private int LongestOpenEnd(string text)
    {
        int longest = 0;
        foreach (string stop in _stops)
        {
            for (int length = Math.Min(stop.Length - 1, text.Length); length > longest; length--)
            {
                if (text.AsSpan(text.Length - length).SequenceEqual(stop.AsSpan(0, length)))
                {
                    longest = length;
                }
            }
        }
        return longest;
    }
}
