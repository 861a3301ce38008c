using TrainServe.Inference;
using TrainServe.Server.Catalogue;
using TrainServe.Server.Contracts;
using TrainServe.Server.Generation;
using TrainServe.Server.Lifecycle;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Endpoints;

/// <summary><c>POST /v1/chat/completions</c>.</summary>
internal sealed partial class ChatCompletionsEndpoints(
    ModelCatalogue catalogue, ServerOptions options, DrainState drain, TimeProvider time, ILogger<ChatCompletionsEndpoints> log)
{
    public static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("/v1/chat/completions", (HttpContext context, ChatCompletionsEndpoints chat) => chat.HandleAsync(context))
            .WithName("createChatCompletion")
            .WithSummary("Answers a conversation, whole or as a stream of server-sent events.")
            .WithTags("Chat")
            .WithMetadata(Documentation.ChatRequestSchema.Marker)
            .Produces<ChatCompletion>()
            .Produces<ErrorResponse>(StatusCodes.Status400BadRequest)
            .Produces<ErrorResponse>(StatusCodes.Status404NotFound)
            .Produces<ErrorResponse>(StatusCodes.Status503ServiceUnavailable);

    private async Task HandleAsync(HttpContext context)
    {
        drain.ThrowIfDraining();
        long started = time.GetTimestamp();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, drain.Deadline);
        var body = await RequestBody.ReadAsync(context.Request, options.MaxBodyBytes, context.RequestAborted);
        var request = ChatCompletionRequest.Parse(body.Span, options.MaxMessages);
        var model = catalogue.Find(request.Model);
        RequireRoom(model);
        var answer = AnswerIdentity.New(model, time);
        var plan = ChatPrompt.Plan(model, request, answer.Id);
        await using var run = new ChatRun(model, request, plan, stop.Token);
        if (request.Stream)
        {
            await new ChatStream(context, answer, request, options.PingInterval, time).WriteAsync(run, stop.Token);
        }
        else
        {
            var whole = await ChatAnswer.CollectAsync(run, answer, request, stop.Token);
            await context.Response.WriteAsJsonAsync(whole, WireJson.Wire.ChatCompletion, "application/json", context.RequestAborted);
        }
        LogAnswered(context.TraceIdentifier, answer.Id, model.Id, request.Stream, run.PromptTokens, run.CompletionTokens, (long)time.GetElapsedTime(started).TotalMilliseconds);
    }

    // The engine decides again; this spares a hopeless request the work of tokenizing.
    private void RequireRoom(ServedModel model)
    {
        var status = model.Engine.Status;
        if (status.Waiting >= options.MaxQueuedRequests || status.WaitingPromptTokens >= options.MaxQueuedPromptTokens)
        {
            throw new QueueFullException(status.Waiting, status.WaitingPromptTokens);
        }
    }

    [LoggerMessage(Level = LogLevel.Information,
        Message = "Request {RequestId} answered as {AnswerId} by {Model}: stream {Stream}, {PromptTokens} prompt tokens, {CompletionTokens} completion tokens, {ElapsedMilliseconds} ms.")]
    private partial void LogAnswered(string requestId, string answerId, string model, bool stream, int promptTokens, int completionTokens, long elapsedMilliseconds);
}
