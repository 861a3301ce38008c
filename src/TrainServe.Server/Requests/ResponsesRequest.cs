using System.Text.Json;
using TrainServe.Core.Chat;

namespace TrainServe.Server.Requests;

/// <summary>A request of the Responses API whose every field was checked. Nothing is stored, so each brings its whole conversation.</summary>
internal sealed record ResponsesRequest : ConversationFields
{
    public string? Instructions { get; init; }
    public IReadOnlyList<ChatMessage>? Input { get; init; }

    /// <summary>Whether <c>include</c> asks for log-probabilities.</summary>
    public bool IncludesLogProbs { get; init; }

    /// <summary>What is repeated in the answer as it was sent.</summary>
    public ResponseEcho Echo { get; init; } = new();

    /// <inheritdoc cref="ChatCompletionRequest.Parse"/>
    public static ResponsesRequest Parse(ReadOnlySpan<byte> utf8, int mostMessages)
    {
        var request = ResponsesParameters.Table.Read(utf8, mostMessages, new ResponsesRequest());
        if (request.Input is null)
        {
            throw InvalidRequestException.Missing("input");
        }
        request.RequireConsistentTools();
        return request with
        {
            Messages = request.Instructions is { } instructions ? [ChatMessage.System(instructions), .. request.Input] : request.Input,
            Logprobs = request.IncludesLogProbs || request.TopLogprobs is not null,
        };
    }
}

/// <summary>Fields that the answer repeats.</summary>
internal sealed record ResponseEcho
{
    public JsonElement? Tools { get; init; }
    public JsonElement? ToolChoice { get; init; }
    public JsonElement? Text { get; init; }
    public JsonElement? Metadata { get; init; }
}
