namespace TrainServe.Server.Requests;

/// <summary>A text to go on with: as text, or as the tokens that it is made of.</summary>
internal sealed record TextPrompt(string? Text, IReadOnlyList<int>? Ids);

/// <summary>A plain completion request whose every field was checked.</summary>
internal sealed record CompletionRequest : GenerationFields
{
    private const int DefaultMaxTokens = 16;

    public IReadOnlyList<TextPrompt> Prompts { get; init; } = [];

    /// <summary>Whether a text begins with the token that begins texts. Prompts of tokens are taken as they are.</summary>
    public bool AddSpecialTokens { get; init; } = true;

    /// <inheritdoc cref="ChatCompletionRequest.Parse"/>
    /// <param name="utf8">The body.</param>
    /// <param name="mostPrompts">More prompts than this are refused.</param>
    public static CompletionRequest Parse(ReadOnlySpan<byte> utf8, int mostPrompts)
    {
        var request = CompletionParameters.Table.Read(utf8, mostPrompts, new CompletionRequest { MaxTokens = DefaultMaxTokens });
        if (request.Prompts.Count == 0)
        {
            throw InvalidRequestException.Missing("prompt");
        }
        request.RequireConsistent();
        return request;
    }
}
