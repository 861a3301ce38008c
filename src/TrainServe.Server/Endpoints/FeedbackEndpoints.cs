using TrainServe.Feedback;
using TrainServe.Server.Contracts;
using TrainServe.Server.Documentation;
using TrainServe.Server.Limits;
using TrainServe.Server.Recording;
using TrainServe.Server.Requests;
using TrainServe.Server.Security;
using TrainServe.Server.Telemetry;

namespace TrainServe.Server.Endpoints;

/// <summary><c>/v1/feedback</c>: what callers say of stored answers; and the removal of both.</summary>
internal sealed class FeedbackEndpoints(AnswerRecorder recorder, RateLimits limits, ServingMetrics metrics, ServerOptions options, TimeProvider time)
{
    private const int MostIdLength = 128;

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost("/v1/feedback", (HttpContext context, FeedbackEndpoints feedback) => feedback.SayAsync(context))
            .WithName("createFeedback")
            .WithSummary("Says what a stored answer is worth. A key has one entry for each choice, and for each pair of choices that it compares: said again, it takes the place of the earlier one (200 instead of 201).")
            .WithTags("Feedback").WithBody(FeedbackRequest.Table)
            .Produces<FeedbackObject>(StatusCodes.Status201Created).Produces<FeedbackObject>().ProducesErrors();
        routes.MapGet("/v1/feedback/{id}", (HttpContext context, string id, FeedbackEndpoints feedback) => feedback.GetAsync(context, id))
            .WithName("retrieveFeedback").WithSummary("What was said.").WithTags("Feedback")
            .Produces<FeedbackObject>().ProducesErrors();
        routes.MapDelete("/v1/feedback/{id}", (HttpContext context, string id, FeedbackEndpoints feedback) => feedback.DeleteAsync(context, id))
            .WithName("deleteFeedback").WithSummary("Takes back what was said.").WithTags("Feedback")
            .Produces<DeletedObject>().ProducesErrors();
        MapRemoval(routes, "/v1/chat/completions/{id}", "chatcmpl-", "chat.completion.deleted", "deleteChatCompletion");
        MapRemoval(routes, "/v1/responses/{id}", "resp_", "response.deleted", "deleteResponse");
    }

    private static void MapRemoval(IEndpointRouteBuilder routes, string route, string prefix, string kind, string name) =>
        routes.MapDelete(route, (HttpContext context, string id, FeedbackEndpoints feedback) => feedback.DeleteAnswerAsync(context, id, prefix, kind))
            .WithName(name).WithSummary("Removes a stored answer, with its conversation and all feedback on it.").WithTags("OpenAI")
            .Produces<DeletedObject>().ProducesErrors();

    private async Task SayAsync(HttpContext context)
    {
        var store = recorder.RequireStore();
        await limits.EnterAsync(context);
        var body = await RequestBody.ReadAsync(context.Request, options.MaxBodyBytes, context.RequestAborted);
        var request = FeedbackRequest.Parse(body.Span);
        string key = KeyOf(context);
        var answer = await RequireAnswerAsync(request.ResponseId!, "response_id", key, context.RequestAborted);
        RequireChoice(answer, request.Choice, "choice");
        if (request.Edit is { } edit && edit.Trim() == answer.Choices[request.Choice].Message.Content.Trim())
        {
            throw new InvalidRequestException("Invalid 'edit': it is the same text as the answer.", "edit", "invalid_value");
        }
        var compared = await ComparedAsync(request, answer, key, context.RequestAborted);
        var entry = new FeedbackEntry
        {
            Id = FeedbackEntry.IdOf(key, answer.Id, request.Choice, compared?.ResponseId, compared?.Choice),
            AnswerId = answer.Id,
            Choice = request.Choice,
            Key = key,
            Created = time.GetUtcNow(),
            Rating = request.Rating,
            Score = request.Score,
            Edit = request.Edit,
            PreferredOverId = compared?.ResponseId,
            PreferredOverChoice = compared?.Choice,
            Comment = request.Comment,
            Labels = request.Labels,
        };
        // The caller's connection does not decide what is kept of a thing that was said.
        bool isNew = await store.SayAsync(entry, CancellationToken.None) ?? throw Unknown(answer.Id, "response_id");
        foreach (string kind in request.Kinds)
        {
            metrics.Feedback.Add(1, kind);
        }
        context.Response.StatusCode = isNew ? StatusCodes.Status201Created : StatusCodes.Status200OK;
        context.Response.Headers.Location = $"/v1/feedback/{entry.Id}";
        await WriteAsync(context, entry);
    }

    private async Task GetAsync(HttpContext context, string id)
    {
        var store = recorder.RequireStore();
        await limits.EnterAsync(context);
        var entry = IsPlain(id) ? await store.FindAsync(id, KeyOf(context), context.RequestAborted) : null;
        await WriteAsync(context, entry ?? throw UnknownEntry(id));
    }

    private async Task DeleteAsync(HttpContext context, string id)
    {
        var store = recorder.RequireStore();
        await limits.EnterAsync(context);
        if (!IsPlain(id) || !await store.DeleteAsync(id, KeyOf(context), CancellationToken.None))
        {
            throw UnknownEntry(id);
        }
        await WriteDeletedAsync(context, id, "feedback.deleted");
    }

    private async Task DeleteAnswerAsync(HttpContext context, string id, string prefix, string kind)
    {
        var store = recorder.RequireStore();
        await limits.EnterAsync(context);
        if (!IsPlain(id) || !id.StartsWith(prefix, StringComparison.Ordinal))
        {
            throw Unknown(id, param: null);
        }
        await recorder.WrittenAsync(id, context.RequestAborted);
        if (!await store.DeleteAnswerAsync(id, KeyOf(context), CancellationToken.None))
        {
            throw Unknown(id, param: null);
        }
        await WriteDeletedAsync(context, id, kind);
    }

    private async Task<ComparedChoice?> ComparedAsync(FeedbackRequest request, StoredAnswer answer, string key, CancellationToken cancellationToken)
    {
        if (request.PreferredOver is not var (id, choice))
        {
            return null;
        }
        bool isSame = id is null || id == answer.Id;
        var other = isSame ? answer : await RequireAnswerAsync(id!, "preferred_over.response_id", key, cancellationToken);
        RequireChoice(other, choice, id is null ? "preferred_over" : "preferred_over.choice");
        if (isSame && choice == request.Choice)
        {
            throw new InvalidRequestException("Invalid 'preferred_over': it is the choice itself.", "preferred_over", "invalid_value");
        }
        return other.PromptHash == answer.PromptHash ? new ComparedChoice(other.Id, choice)
            : throw new InvalidRequestException("Invalid 'preferred_over': it answers another conversation, so the two cannot be compared.", "preferred_over", "invalid_value");
    }

    private async Task<StoredAnswer> RequireAnswerAsync(string id, string param, string key, CancellationToken cancellationToken) =>
        (IsPlain(id) ? await recorder.FindAsync(id, key, cancellationToken) : null) ?? throw Unknown(id, param);

    private static void RequireChoice(StoredAnswer answer, int choice, string param)
    {
        if (choice >= answer.Choices.Count)
        {
            throw new InvalidRequestException($"Invalid '{param}': the response has {answer.Choices.Count} choices, the first of them 0, but got {choice} instead.", param, "invalid_value");
        }
    }

    private static string KeyOf(HttpContext context) => context.Features.Caller()?.Name ?? "";

    // Whatever else somebody sends is no name of ours, and no database has to see it.
    private static bool IsPlain(string id) => id.Length is > 0 and <= MostIdLength && id.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '_');

    private static InvalidRequestException Unknown(string id, string? param) =>
        new($"There is no stored answer '{JsonRequestReader.Shown(id)}'. Answers are stored when they are asked for with 'store': true.", param, "response_not_found", StatusCodes.Status404NotFound);

    private static InvalidRequestException UnknownEntry(string id) =>
        new($"There is no feedback '{JsonRequestReader.Shown(id)}'.", code: "feedback_not_found", status: StatusCodes.Status404NotFound);

    private static Task WriteAsync(HttpContext context, FeedbackEntry entry) => context.Response.WriteAsJsonAsync(
        new FeedbackObject(entry.Id, entry.Created.ToUnixTimeSeconds(), entry.AnswerId, entry.Choice, entry.Rating?.ToString().ToLowerInvariant(), entry.Score, entry.Edit,
            entry.PreferredOverId is { } other ? new ComparedChoice(other, entry.PreferredOverChoice!.Value) : null, entry.Comment, entry.Labels),
        WireJson.Wire.FeedbackObject, "application/json", context.RequestAborted);

    private static Task WriteDeletedAsync(HttpContext context, string id, string kind) =>
        context.Response.WriteAsJsonAsync(new DeletedObject(id, kind), WireJson.Wire.DeletedObject, "application/json", context.RequestAborted);
}
