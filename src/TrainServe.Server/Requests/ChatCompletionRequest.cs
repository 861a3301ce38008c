namespace TrainServe.Server.Requests;

/// <summary>A chat request whose every field was checked.</summary>
internal sealed record ChatCompletionRequest : ConversationFields
{
    public int? MaxCompletionTokens { get; init; }

    /// <summary>Reads and checks a body.</summary>
    /// <param name="utf8">The body.</param>
    /// <param name="mostMessages">More messages than this are refused.</param>
    /// <exception cref="InvalidRequestException">Something in it breaks a rule; the message says what.</exception>
    public static ChatCompletionRequest Parse(ReadOnlySpan<byte> utf8, int mostMessages)
    {
        var request = ChatParameters.Table.Read(utf8, mostMessages, new ChatCompletionRequest());
        if (request.Messages is null)
        {
            throw InvalidRequestException.Missing("messages");
        }
        request.RequireConsistent();
        request.RequireConsistentTools();
        if (request is { MaxTokens: not null, MaxCompletionTokens: not null })
        {
            throw new InvalidRequestException(
                "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.", "max_tokens", "invalid_parameter_combination");
        }
        return request with { MaxTokens = request.MaxTokens ?? request.MaxCompletionTokens };
    }
}
