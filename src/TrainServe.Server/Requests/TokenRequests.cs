using TrainServe.Core.Chat;
using static TrainServe.Server.Requests.ParameterRows;

namespace TrainServe.Server.Requests;

/// <summary>A text or a conversation whose tokens are asked for.</summary>
internal sealed record TokenizeRequest : RequestFields
{
    public string? Prompt { get; init; }
    public IReadOnlyList<ChatMessage>? Messages { get; init; }
    public bool AddSpecialTokens { get; init; } = true;
    public bool ReturnTokenStrs { get; init; }

    public static ParameterTable Table { get; } = new("POST /tokenize",
    [
        ParameterRows.Model,
        Honoured<TokenizeRequest>("prompt", "A text. Either this or messages.", (ref json, request) => request with { Prompt = json.ReadString() }),
        Honoured<TokenizeRequest>("messages", "A conversation, laid out as for an answer to it.", (ref json, request) => request with { Messages = ChatMessageReader.ReadAll(ref json) }),
        Honoured<TokenizeRequest>("add_special_tokens", "Whether a prompt of text begins with the token that begins texts; true when absent.",
            (ref json, request) => request with { AddSpecialTokens = json.ReadBoolean() }),
        Honoured<TokenizeRequest>("return_token_strs", "Adds the text of each token.", (ref json, request) => request with { ReturnTokenStrs = json.ReadBoolean() }),
        Refused("add_generation_prompt", "conversations are laid out as for an answer.", "true"),
    ]);

    public static TokenizeRequest Parse(ReadOnlySpan<byte> utf8, int mostMessages)
    {
        var request = Table.Read(utf8, mostMessages, new TokenizeRequest());
        return (request.Prompt is null) == (request.Messages is null)
            ? throw new InvalidRequestException("Expected either 'prompt' or 'messages'.", "prompt", "invalid_parameter_combination")
            : request;
    }
}

/// <summary>Tokens whose text is asked for.</summary>
internal sealed record DetokenizeRequest : RequestFields
{
    private const int MostTokens = 1 << 20;

    public IReadOnlyList<int>? Tokens { get; init; }

    public static ParameterTable Table { get; } = new("POST /detokenize",
    [
        ParameterRows.Model,
        Required<DetokenizeRequest>("tokens", "Token ids. Control tokens are written out.", (ref json, request) => request with { Tokens = ReadTokenIds(ref json, MostTokens) }),
    ]);

    public static DetokenizeRequest Parse(ReadOnlySpan<byte> utf8)
    {
        var request = Table.Read(utf8, int.MaxValue, new DetokenizeRequest());
        return request.Tokens is null ? throw InvalidRequestException.Missing("tokens") : request;
    }
}

/// <summary>A conversation that is to be laid out.</summary>
internal sealed record ApplyTemplateRequest : RequestFields
{
    public IReadOnlyList<ChatMessage>? Messages { get; init; }

    public static ParameterTable Table { get; } = new("POST /apply-template",
    [
        ParameterRows.Model,
        Required<ApplyTemplateRequest>("messages", "The conversation.", (ref json, request) => request with { Messages = ChatMessageReader.ReadAll(ref json) }),
    ]);

    public static ApplyTemplateRequest Parse(ReadOnlySpan<byte> utf8, int mostMessages)
    {
        var request = Table.Read(utf8, mostMessages, new ApplyTemplateRequest());
        return request.Messages is null ? throw InvalidRequestException.Missing("messages") : request;
    }
}
