using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using TrainServe.Inference;
using TrainServe.Server.Catalogue;
using TrainServe.Server.Contracts;
using TrainServe.Server.Generation;
using TrainServe.Server.Lifecycle;
using TrainServe.Server.Limits;
using TrainServe.Server.Recording;
using TrainServe.Server.Requests;
using TrainServe.Server.Security;
using TrainServe.Server.Telemetry;

namespace TrainServe.Server.Endpoints;

/// <summary>What all routes need that have a model make text.</summary>
internal sealed record AnswerServices(ModelCatalogue Catalogue, ServerOptions Options, DrainState Drain, RateLimits Limits, ServingMetrics Metrics, AnswerRecorder Recorder, TimeProvider Time, ILogger<AnswerServices> Log);

/// <summary>A route whose answer is text that a model makes, whole or as a stream: the same road for OpenAI's and Anthropic's APIs.</summary>
internal abstract partial class AnswerRoute<TRequest, TAnswer>(AnswerServices services) where TRequest : GenerationFields
{
    // nginx's number for it; nobody receives it.
    private const int CallerLeft = 499;

    protected ServerOptions Options => services.Options;

    /// <summary>What the ids of its answers begin with.</summary>
    protected abstract string IdPrefix { get; }

    /// <summary>How the prompt is called on the wire.</summary>
    protected abstract string PromptName { get; }

    /// <summary>OpenTelemetry's word for what is done here.</summary>
    protected virtual string Operation => "chat";

    /// <summary>How a whole answer is written.</summary>
    protected abstract JsonTypeInfo<TAnswer> AnswerType { get; }

    protected abstract TRequest Parse(ReadOnlySpan<byte> body);

    protected abstract IReadOnlyList<int[]> Encode(ServedModel model, TRequest request);

    protected abstract AnswerStream Stream(HttpContext context, AnswerIdentity answer, TRequest request, TimeProvider time);

    protected abstract TAnswer Whole(AnswerIdentity answer, TRequest request, IReadOnlyList<WholeChoice> choices, CompletionUsage usage);

    protected async Task HandleAsync(HttpContext context)
    {
        services.Drain.ThrowIfDraining();
        long started = services.Time.GetTimestamp();
        await services.Limits.EnterAsync(context);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, services.Drain.Deadline);
        var body = await RequestBody.ReadAsync(context.Request, Options.MaxBodyBytes, context.RequestAborted);
        var request = Parse(body.Span);
        using var lease = services.Catalogue.Lease(request.Model);
        var model = lease.Model;
        model.RequireWriter();
        model.RequireRoom(Options);
        var answer = AnswerIdentity.New(IdPrefix, model, services.Time);
        var prompts = Encode(model, request);
        // Prompts are shared within a key's own requests only: the time of an answer must not tell one caller what another asked.
        GenerationRequest[] plan = [.. SamplingPlan.Make(model, request, prompts, PromptName, answer.Id).Select(choice => choice with { CacheSalt = CacheSalt(context, request) })];
        int promptTokens = prompts.Sum(prompt => prompt.Length);
        await services.Limits.ChargePromptAsync(context, promptTokens);
        var choices = plan.Select((_, i) => new ChoiceText(i, model.Tokenizer, request.Stop, request.Logprobs, request is ConversationFields { CallsTools: true } ? model.ToolCallId : null)).ToArray();
        using var observer = new AnswerObserver(services.Metrics, services.Time, Operation, answer, request, context.TraceIdentifier, plan.Length, started);
        if (Options.LogPrompts)
        {
            LogPrompt(services.Log, context.TraceIdentifier, string.Join('\n', prompts.Select(prompt => model.Tokenizer.Decode(prompt, skipSpecial: false))));
        }
        await using var run = new TextRun(model.Engine, plan, choices, promptTokens, observer, stop.Token,
            services.Recorder.Begin(request, model, answer, context.Features.Caller(), plan));
        answer.Tell(context.Response);
        bool answered = false;
        model.Rate.Began();
        try
        {
            await WriteAsync(context, answer, request, run, stop.Token);
            answered = true;
            observer.Finished(run.Usage, run.FinishReasons);
        }
        catch (Exception exception)
        {
            observer.Failed(run.Usage, context.RequestAborted.IsCancellationRequested ? CallerLeft : ApiError.Of(exception).Status);
            if (exception is QueueFullException full)
            {
                throw model.Busy(full.Waiting);
            }
            throw;
        }
        finally
        {
            model.Rate.Ended(answered);
            await services.Limits.ChargeAnswerAsync(context, run.CompletionTokens);
        }
        LogAnswered(services.Log, context.TraceIdentifier, answer.Id, model.Id, request.Stream, run.PromptTokens, run.CompletionTokens,
            (long)services.Time.GetElapsedTime(started).TotalMilliseconds);
    }

    private async Task WriteAsync(HttpContext context, AnswerIdentity answer, TRequest request, TextRun run, CancellationToken cancellationToken)
    {
        if (request.Stream)
        {
            await Stream(context, answer, request, services.Time).WriteAsync(run, cancellationToken);
            return;
        }
        var whole = await WholeChoices.CollectAsync(run, cancellationToken);
        await context.Response.WriteAsJsonAsync(Whole(answer, request, whole, run.Usage), AnswerType, "application/json", context.RequestAborted);
    }

    private static string? CacheSalt(HttpContext context, TRequest request)
    {
        string? key = context.Features.Caller()?.Name;
        return request.CacheSalt is null ? key : $"{key}\n{request.CacheSalt}"; // a name has no line break
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Request {RequestId} asks: {Prompt}")]
    private static partial void LogPrompt(ILogger log, string requestId, string prompt);

    [LoggerMessage(Level = LogLevel.Information,
        Message = "Request {RequestId} answered as {AnswerId} by {Model}: stream {Stream}, {PromptTokens} prompt tokens, {CompletionTokens} completion tokens, {ElapsedMilliseconds} ms.")]
    private static partial void LogAnswered(ILogger log, string requestId, string answerId, string model, bool stream, int promptTokens, int completionTokens, long elapsedMilliseconds);
}
