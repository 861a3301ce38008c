using System.Text.Json.Serialization.Metadata;
using TrainServe.Server.Catalogue;
using TrainServe.Server.Contracts;
using TrainServe.Server.Documentation;
using TrainServe.Server.Generation;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Endpoints;

/// <summary><c>POST /v1/messages</c> and <c>POST /v1/messages/count_tokens</c>, as Anthropic's clients ask.</summary>
internal sealed class MessagesEndpoints(AnswerServices services) : AnswerRoute<MessagesRequest, AnthropicMessage>(services)
{
    private readonly AnswerServices _services = services;

    protected override string IdPrefix => "msg_";
    protected override string PromptName => "messages";
    protected override JsonTypeInfo<AnthropicMessage> AnswerType => WireJson.Wire.AnthropicMessage;

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost("/v1/messages", (HttpContext context, MessagesEndpoints messages) => messages.HandleAsync(context))
            .WithName("createMessage")
            .WithSummary("Answers a conversation in Anthropic's form, whole or as a stream of server-sent events.")
            .WithTags("Anthropic")
            .WithBody(MessagesParameters.Table)
            .Produces<AnthropicMessage>()
            .ProducesErrors();
        routes.MapPost("/v1/messages/count_tokens", (HttpContext context, MessagesEndpoints messages) => messages.CountAsync(context))
            .WithName("countTokens")
            .WithSummary("Counts the tokens that a conversation would be.")
            .WithTags("Anthropic")
            .WithBody(MessagesParameters.CountTable)
            .Produces<TokenCount>()
            .ProducesErrors();
    }

    protected override MessagesRequest Parse(ReadOnlySpan<byte> body) => MessagesRequest.Parse(body, Options.MaxMessages);

    protected override IReadOnlyList<int[]> Encode(ServedModel model, MessagesRequest request) => [ChatPrompt.Encode(model, request)];

    protected override AnswerStream Stream(HttpContext context, AnswerIdentity answer, MessagesRequest request, TimeProvider time) =>
        new MessageStream(context, answer, Options.PingInterval, time);

    protected override AnthropicMessage Whole(AnswerIdentity answer, MessagesRequest request, IReadOnlyList<WholeChoice> choices, CompletionUsage usage)
    {
        var choice = choices[0];
        ContentBlock[] text = choice.Text.Length > 0 ? [ContentBlock.OfText(choice.Text)] : [];
        return new AnthropicMessage(answer.Id, answer.Model, [.. text, .. choice.ToolCalls.Select(call => ContentBlock.OfCall(call.Id, call.Name, call.Arguments))],
            MessageStream.StopReason(choice.FinishReason, choice.StopText), choice.StopText, AnthropicUsage.Of(usage));
    }

    private async Task CountAsync(HttpContext context)
    {
        await _services.Limits.EnterAsync(context);
        var body = await RequestBody.ReadAsync(context.Request, Options.MaxBodyBytes, context.RequestAborted);
        var request = MessagesRequest.ParseCount(body.Span, Options.MaxMessages);
        var count = new TokenCount(ChatPrompt.Encode(_services.Catalogue.Find(request.Model), request).Length);
        await context.Response.WriteAsJsonAsync(count, WireJson.Wire.TokenCount, "application/json", context.RequestAborted);
    }
}
