using System.Text.Json.Serialization.Metadata;
using TrainServe.Inference;
using TrainServe.Server.Catalogue;
using TrainServe.Server.Generation;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Endpoints;

/// <summary>A route whose answer is what a model finds in texts, without going on with them.</summary>
/// <typeparam name="TRequest">What is asked.</typeparam>
/// <typeparam name="TFinding">What is found in one text.</typeparam>
/// <typeparam name="TAnswer">All of it on the wire.</typeparam>
internal abstract class ReadingRoute<TRequest, TFinding, TAnswer>(AnswerServices services) where TRequest : RequestFields
{
    protected ServerOptions Options => services.Options;

    /// <summary>How the texts are called on the wire.</summary>
    protected abstract string InputName { get; }

    /// <summary>What the ids of its answers begin with.</summary>
    protected abstract string IdPrefix { get; }

    protected abstract JsonTypeInfo<TAnswer> AnswerType { get; }

    protected abstract TRequest Parse(ReadOnlySpan<byte> body);

    protected abstract IReadOnlyList<int[]> Encode(ServedModel model, TRequest request);

    /// <exception cref="NotSupportedException">This is nothing that the model can do.</exception>
    protected abstract Task<TFinding> ReadAsync(ServedModel model, int[] ids, CancellationToken cancellationToken);

    /// <summary>Says what the model cannot do.</summary>
    protected abstract InvalidRequestException Unsupported(ServedModel model);

    protected abstract TAnswer Answer(AnswerIdentity answer, TRequest request, IReadOnlyList<TFinding> findings, int tokens);

    protected async Task HandleAsync(HttpContext context)
    {
        services.Drain.ThrowIfDraining();
        await services.Limits.EnterAsync(context);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, services.Drain.Deadline);
        var body = await RequestBody.ReadAsync(context.Request, Options.MaxBodyBytes, context.RequestAborted);
        var request = Parse(body.Span);
        using var lease = services.Catalogue.Lease(request.Model);
        var model = lease.Model;
        model.RequireRoom(Options);
        var prompts = Encode(model, request);
        if (prompts.FirstOrDefault(prompt => prompt.Length > model.ContextLength) is { } tooLong)
        {
            throw SamplingPlan.TooLong(model, InputName, $"your {InputName} resulted in {tooLong.Length} tokens");
        }
        int tokens = prompts.Sum(prompt => prompt.Length);
        await services.Limits.ChargePromptAsync(context, tokens);
        var findings = await ReadAllAsync(model, prompts, stop.Token);
        services.Metrics.PromptTokens.Add(tokens, model.Id);
        var answer = AnswerIdentity.New(IdPrefix, model, services.Time);
        answer.Tell(context.Response);
        await context.Response.WriteAsJsonAsync(Answer(answer, request, findings, tokens), AnswerType, "application/json", context.RequestAborted);
    }

    private async Task<TFinding[]> ReadAllAsync(ServedModel model, IReadOnlyList<int[]> prompts, CancellationToken cancellationToken)
    {
        var findings = new TFinding[prompts.Count];
        bool answered = false;
        model.Rate.Began();
        try
        {
            for (int i = 0; i < findings.Length; i++)
            {
                findings[i] = await ReadOneAsync(model, prompts[i], cancellationToken);
            }
            answered = true;
            return findings;
        }
        finally
        {
            model.Rate.Ended(answered);
        }
    }

    private async Task<TFinding> ReadOneAsync(ServedModel model, int[] ids, CancellationToken cancellationToken)
    {
        try
        {
            return await ReadAsync(model, ids, cancellationToken);
        }
        catch (NotSupportedException)
        {
            throw Unsupported(model);
        }
        catch (QueueFullException full)
        {
            throw model.Busy(full.Waiting);
        }
    }
}
