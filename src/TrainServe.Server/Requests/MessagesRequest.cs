using TrainServe.Core.Chat;

namespace TrainServe.Server.Requests;

/// <summary>A request in Anthropic's form whose every field was checked.</summary>
internal sealed record MessagesRequest : ConversationFields
{
    public string? System { get; init; }

    /// <inheritdoc cref="ChatCompletionRequest.Parse"/>
    public static MessagesRequest Parse(ReadOnlySpan<byte> utf8, int mostMessages)
    {
        var request = MessagesParameters.Table.Read(utf8, mostMessages, new MessagesRequest());
        return request.MaxTokens is null ? throw InvalidRequestException.Missing("max_tokens") : request.WithSystem();
    }

    /// <summary>Reads what is only to be counted.</summary>
    /// <inheritdoc cref="ChatCompletionRequest.Parse"/>
    public static MessagesRequest ParseCount(ReadOnlySpan<byte> utf8, int mostMessages) =>
        MessagesParameters.CountTable.Read(utf8, mostMessages, new MessagesRequest()).WithSystem();

    private MessagesRequest WithSystem()
    {
        RequireConsistentTools();
        return Messages is null ? throw InvalidRequestException.Missing("messages")
        : System is null ? this
        : this with { Messages = [ChatMessage.System(System), .. Messages] };
    }
}
