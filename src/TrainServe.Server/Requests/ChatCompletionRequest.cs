using TrainServe.Core.Chat;

namespace TrainServe.Server.Requests;

/// <summary>A chat request whose every field was checked; null where the caller said nothing.</summary>
internal sealed record ChatCompletionRequest
{
    public IReadOnlyList<ChatMessage>? Messages { get; init; }
    public string? Model { get; init; }
    public bool Stream { get; init; }
    public StreamOptions? StreamOptions { get; init; }
    public float? Temperature { get; init; }
    public float? TopP { get; init; }
    public int? TopK { get; init; }
    public float? MinP { get; init; }

    /// <summary>Answers to make.</summary>
    public int N { get; init; } = 1;
    public int? MaxTokens { get; init; }
    public int? MaxCompletionTokens { get; init; }
    public IReadOnlyList<string> Stop { get; init; } = [];
    public IReadOnlyList<int> StopTokenIds { get; init; } = [];
    public bool IgnoreEos { get; init; }
    public long? Seed { get; init; }
    public bool Logprobs { get; init; }
    public int? TopLogprobs { get; init; }
    public IReadOnlyDictionary<int, float>? LogitBias { get; init; }
    public float? FrequencyPenalty { get; init; }
    public float? PresencePenalty { get; init; }
    public float? RepetitionPenalty { get; init; }

    /// <summary>Reads and checks a body.</summary>
    /// <param name="utf8">The body.</param>
    /// <param name="mostMessages">More messages than this are refused.</param>
    /// <exception cref="InvalidRequestException">Something in it breaks a rule; the message says what.</exception>
    public static ChatCompletionRequest Parse(ReadOnlySpan<byte> utf8, int mostMessages)
    {
        var json = new JsonRequestReader(utf8) { MostMessages = mostMessages };
        var request = new ChatCompletionRequest();
        json.EnterObject();
        while (json.NextProperty(out string name))
        {
            var parameter = ChatParameters.Find(name)
                ?? throw json.UnknownParameter();
            request = parameter.Read(ref json, request);
        }
        json.End();
        return request.Validated();
    }

    /// <summary>The rules that hold between fields.</summary>
    private ChatCompletionRequest Validated()
    {
        if (Messages is null)
        {
            throw InvalidRequestException.Missing("messages");
        }
        if (StreamOptions is not null && !Stream)
        {
            throw new InvalidRequestException("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options", "invalid_value");
        }
        if (TopLogprobs is not null && !Logprobs)
        {
            throw new InvalidRequestException("The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", "top_logprobs", "invalid_value");
        }
        if (MaxTokens is not null && MaxCompletionTokens is not null)
        {
            throw new InvalidRequestException(
                "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.", "max_tokens", "invalid_parameter_combination");
        }
        return this;
    }
}

internal sealed record StreamOptions(bool IncludeUsage);
