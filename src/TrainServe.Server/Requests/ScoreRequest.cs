using TrainServe.Core.Chat;
using static TrainServe.Server.Requests.ParameterRows;

namespace TrainServe.Server.Requests;

/// <summary>Answers that a reward model is to judge, each with what it answers.</summary>
internal sealed record ScoreRequest : RequestFields
{
    private const int MostTexts = 2048;

    public IReadOnlyList<ChatMessage>? Messages { get; init; }

    /// <summary>Questions: one for all answers, or one for each.</summary>
    public IReadOnlyList<string>? Text1 { get; init; }

    /// <summary>Answers.</summary>
    public IReadOnlyList<string>? Text2 { get; init; }

    /// <summary>What is scored.</summary>
    public IReadOnlyList<IReadOnlyList<ChatMessage>> Conversations { get; private init; } = [];

    public static ParameterTable Table { get; } = new("POST /score",
    [
        ParameterRows.Model,
        Honoured<ScoreRequest>("messages", "A conversation that ends with the answer to be scored. Either this, or text_1 and text_2.",
            (ref json, request) => request with { Messages = ChatMessageReader.ReadAll(ref json) }),
        Honoured<ScoreRequest>("text_1", "What is answered: a string, or an array with one for each answer.", (ref json, request) => request with { Text1 = ReadTexts(ref json) }),
        Honoured<ScoreRequest>("text_2", "The answers to be scored: a string, or an array of up to 2048.", (ref json, request) => request with { Text2 = ReadTexts(ref json) }),
        User,
    ]);

    /// <inheritdoc cref="ChatCompletionRequest.Parse"/>
    public static ScoreRequest Parse(ReadOnlySpan<byte> utf8, int mostMessages)
    {
        var request = Table.Read(utf8, mostMessages, new ScoreRequest());
        return request with { Conversations = request.Gather() };
    }

    private IReadOnlyList<IReadOnlyList<ChatMessage>> Gather()
    {
        if ((Messages is null) == (Text1 is null && Text2 is null))
        {
            throw new InvalidRequestException("Expected either 'messages', or 'text_1' and 'text_2'.", "messages", "invalid_parameter_combination");
        }
        if (Messages is not null)
        {
            return [Messages];
        }
        var questions = Text1 ?? throw InvalidRequestException.Missing("text_1");
        var answers = Text2 ?? throw InvalidRequestException.Missing("text_2");
        return questions.Count == 1 || questions.Count == answers.Count
            ? [.. answers.Select((answer, i) => new[] { ChatMessage.User(questions[questions.Count == 1 ? 0 : i]), ChatMessage.Assistant(answer) })]
            : throw new InvalidRequestException($"Invalid 'text_1': there are {questions.Count} for {answers.Count} of 'text_2'. Expected one, or as many.", "text_1", "invalid_value");
    }

    private static IReadOnlyList<string> ReadTexts(ref JsonRequestReader json)
    {
        if (json.IsString)
        {
            return [json.ReadString()];
        }
        var texts = new List<string>();
        json.EnterArray("a string or an array of strings");
        while (json.NextItem(MostTexts))
        {
            texts.Add(json.ReadString());
        }
        return texts.Count > 0 ? texts : throw json.Invalid("empty_array",
            $"Invalid '{json.Path}': empty array. Expected an array with minimum length 1, but got an empty array instead.");
    }
}
