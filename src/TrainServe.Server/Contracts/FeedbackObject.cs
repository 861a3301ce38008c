namespace TrainServe.Server.Contracts;

/// <summary>What a caller said of an answer.</summary>
/// <param name="Id">Begins with <c>feedback-</c>.</param>
/// <param name="Created">When it was last said, in seconds since 1970.</param>
/// <param name="Rating">up, down or null.</param>
/// <param name="Score">1 to 5, or null.</param>
internal sealed record FeedbackObject(string Id, long Created, string ResponseId, int Choice, string? Rating, int? Score, string? Edit, ComparedChoice? PreferredOver, string? Comment, IReadOnlyList<string> Labels)
{
    public string Object => "feedback";
}

/// <summary>The choice that another was preferred over.</summary>
internal sealed record ComparedChoice(string ResponseId, int Choice);

/// <summary>Something that was removed.</summary>
internal sealed record DeletedObject(string Id, string Object)
{
    public bool Deleted => true;
}
