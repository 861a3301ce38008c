using System.Security.Cryptography;
using System.Text;

namespace TrainServe.Feedback;

/// <summary>Whether an answer was liked.</summary>
public enum Rating
{
    Up,
    Down,
}

/// <summary>What a caller said of one choice of a stored answer.</summary>
/// <remarks>
/// A key has one entry for a choice, and one more for each other choice that it was preferred over. Saying something again takes the place of what was said before,
/// so that a repeated request changes nothing.
/// </remarks>
public sealed class FeedbackEntry
{
    /// <summary>Follows from who speaks of what, <see cref="IdOf"/>.</summary>
    public required string Id { get; init; }

    /// <summary>The stored answer.</summary>
    public required string AnswerId { get; init; }

    public required int Choice { get; init; }

    /// <summary>The name of the API key that spoke; empty where the server has no keys.</summary>
    public required string Key { get; init; }

    /// <summary>When it was last said.</summary>
    public required DateTimeOffset Created { get; set; }

    public Rating? Rating { get; set; }

    /// <summary>1, the worst, to 5.</summary>
    public int? Score { get; set; }

    /// <summary>The answer as it should have been.</summary>
    public string? Edit { get; set; }

    /// <summary>The stored answer with the choice that this one was preferred over; null where none was compared.</summary>
    public string? PreferredOverId { get; init; }

    public int? PreferredOverChoice { get; init; }

    public string? Comment { get; set; }

    public IReadOnlyList<string> Labels { get; set; } = [];

    /// <summary>The name of what a key says of a choice.</summary>
    public static string IdOf(string key, string answerId, int choice, string? preferredOverId, int? preferredOverChoice)
    {
        // No part holds a line break.
        string subject = string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{key}\n{answerId}\n{choice}\n{preferredOverId}\n{preferredOverChoice}");
        return $"feedback-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(subject)).AsSpan(0, 16))}";
    }
}
