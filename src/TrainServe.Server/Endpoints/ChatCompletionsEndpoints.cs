using System.Text.Json.Serialization.Metadata;
using TrainServe.Server.Catalogue;
using TrainServe.Server.Contracts;
using TrainServe.Server.Documentation;
using TrainServe.Server.Generation;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Endpoints;

/// <summary><c>POST /v1/chat/completions</c>.</summary>
internal sealed class ChatCompletionsEndpoints(AnswerServices services) : AnswerRoute<ChatCompletionRequest, ChatCompletion>(services)
{
    protected override string IdPrefix => "chatcmpl-";
    protected override string PromptName => "messages";
    protected override JsonTypeInfo<ChatCompletion> AnswerType => WireJson.Wire.ChatCompletion;

    public static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("/v1/chat/completions", (HttpContext context, ChatCompletionsEndpoints chat) => chat.HandleAsync(context))
            .WithName("createChatCompletion")
            .WithSummary("Answers a conversation, whole or as a stream of server-sent events.")
            .WithTags("OpenAI")
            .WithBody(ChatParameters.Table)
            .Produces<ChatCompletion>()
            .ProducesErrors();

    protected override ChatCompletionRequest Parse(ReadOnlySpan<byte> body) => ChatCompletionRequest.Parse(body, Options.MaxMessages);

    protected override IReadOnlyList<int[]> Encode(ServedModel model, ChatCompletionRequest request) => [ChatPrompt.Encode(model, request)];

    protected override AnswerStream Stream(HttpContext context, AnswerIdentity answer, ChatCompletionRequest request, TimeProvider time) =>
        new ChatStream(context, answer, request, Options.PingInterval, time);

    protected override ChatCompletion Whole(AnswerIdentity answer, ChatCompletionRequest request, IReadOnlyList<WholeChoice> choices, CompletionUsage usage) => new(
        answer.Id, answer.Created, answer.Model,
        [.. choices.Select((choice, i) => new ChatChoice(i, Message(choice), request.Logprobs ? new ChoiceLogProbs(choice.LogProbs) : null, choice.FinishReason))],
        usage, answer.Fingerprint);

    private static AssistantMessage Message(WholeChoice choice) => choice.ToolCalls.Count == 0 ? new AssistantMessage(choice.Text) : new AssistantMessage(choice.Text.Length > 0 ? choice.Text : null)
    {
        ToolCalls = [.. choice.ToolCalls.Select(call => new MessageToolCall(call.Id, new CalledFunction(call.Name, call.Arguments)))],
    };
}
