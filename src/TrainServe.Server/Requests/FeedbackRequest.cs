using TrainServe.Feedback;
using static TrainServe.Server.Requests.ParameterRows;

namespace TrainServe.Server.Requests;

/// <summary>What a caller says of a choice of a stored answer.</summary>
internal sealed record FeedbackRequest : RequestFields
{
    private const int MostChoices = 128, MostComment = 16384, MostLabels = 32, MostLabel = 64, LeastScore = 1, MostScore = 5, LeastGood = 4, MostBad = 2;

    public string? ResponseId { get; init; }
    public int Choice { get; init; }
    public Rating? Rating { get; init; }
    public int? Score { get; init; }
    public string? Edit { get; init; }

    /// <summary>The other choice; its response is null where it is of the same one.</summary>
    public (string? ResponseId, int Choice)? PreferredOver { get; init; }
    public string? Comment { get; init; }
    public IReadOnlyList<string> Labels { get; init; } = [];

    public static ParameterTable Table { get; } = new("POST /v1/feedback",
    [
        Required<FeedbackRequest>("response_id", "The id of an answer that was made with store, for the same key.", (ref json, request) => request with { ResponseId = json.ReadString() }),
        Honoured<FeedbackRequest>("choice", "The index of the choice that is meant; 0 when absent.", (ref json, request) => request with { Choice = json.ReadInt32(0, MostChoices - 1) }),
        Honoured<FeedbackRequest>("rating", "up or down.", (ref json, request) => request with { Rating = json.ReadOneOf("up", "down") == "up" ? TrainServe.Feedback.Rating.Up : TrainServe.Feedback.Rating.Down }),
        Honoured<FeedbackRequest>("score", "1, the worst, to 5. Not against the rating: up goes with 3 to 5, down with 1 to 3.", (ref json, request) => request with { Score = json.ReadInt32(LeastScore, MostScore) }),
        Honoured<FeedbackRequest>("edit", "The answer as it should have been.", (ref json, request) => request with { Edit = ReadText(ref json, int.MaxValue) }),
        Honoured<FeedbackRequest>("preferred_over", "The choice that this one is better than: an index of the same response, or an object with response_id and choice of another answer to the same conversation.",
            (ref json, request) => request with { PreferredOver = ReadCompared(ref json) }),
        Honoured<FeedbackRequest>("comment", "For people; nothing learns from it.", (ref json, request) => request with { Comment = ReadText(ref json, MostComment) }),
        Honoured<FeedbackRequest>("labels", "Up to 32 words of up to 64 characters, for people.", (ref json, request) => request with { Labels = ReadLabels(ref json) }),
    ]);

    /// <summary>What it says, in the words of the metrics.</summary>
    public IEnumerable<string> Kinds => new[]
    {
        Rating is TrainServe.Feedback.Rating.Up ? "up" : null, Rating is TrainServe.Feedback.Rating.Down ? "down" : null, Score is null ? null : "score", Edit is null ? null : "edit",
        PreferredOver is null ? null : "preference", Comment is null ? null : "comment", Labels.Count == 0 ? null : "labels",
    }.OfType<string>();

    /// <inheritdoc cref="ChatCompletionRequest.Parse"/>
    public static FeedbackRequest Parse(ReadOnlySpan<byte> utf8)
    {
        var request = Table.Read(utf8, 0, new FeedbackRequest());
        if (request.ResponseId is null)
        {
            throw InvalidRequestException.Missing("response_id");
        }
        if (!request.Kinds.Any())
        {
            throw new InvalidRequestException("Expected at least one of 'rating', 'score', 'edit', 'preferred_over', 'comment' and 'labels'.", "rating", "missing_required_parameter");
        }
        if (request is { Rating: TrainServe.Feedback.Rating.Up, Score: <= MostBad } or { Rating: TrainServe.Feedback.Rating.Down, Score: >= LeastGood })
        {
            throw new InvalidRequestException($"Invalid 'score': {request.Score} contradicts the rating '{(request.Rating == TrainServe.Feedback.Rating.Up ? "up" : "down")}'.", "score", "invalid_parameter_combination");
        }
        return request;
    }

    private static (string? ResponseId, int Choice) ReadCompared(ref JsonRequestReader json)
    {
        if (json.IsNumber)
        {
            return (null, json.ReadInt32(0, MostChoices - 1));
        }
        string? id = null;
        int choice = 0;
        json.EnterObject("an integer or an object");
        while (json.NextProperty(out string name))
        {
            switch (name)
            {
                case "response_id":
                    id = json.ReadString();
                    break;
                case "choice":
                    choice = json.ReadInt32(0, MostChoices - 1);
                    break;
                default:
                    throw json.UnknownParameter();
            }
        }
        return (id ?? throw InvalidRequestException.Missing("preferred_over.response_id"), choice);
    }

    private static List<string> ReadLabels(ref JsonRequestReader json)
    {
        var labels = new List<string>();
        json.EnterArray("an array of strings");
        while (json.NextItem(MostLabels))
        {
            labels.Add(ReadText(ref json, MostLabel));
        }
        return labels;
    }

    private static string ReadText(ref JsonRequestReader json, int mostLength)
    {
        string text = json.ReadString(mostLength);
        return string.IsNullOrWhiteSpace(text) ? throw json.Invalid("string_below_min_length", $"Invalid '{json.Path}': empty string. Expected a string with minimum length 1, but got an empty string instead.")
            : text.Contains('\0') ? throw json.Invalid("invalid_value", $"Invalid '{json.Path}': it holds the character U+0000, which is not text.")
            : text;
    }
}
