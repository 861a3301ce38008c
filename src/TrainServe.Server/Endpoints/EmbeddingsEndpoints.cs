using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Text.Json;
using TrainServe.Inference;
using TrainServe.Server.Catalogue;
using TrainServe.Server.Contracts;
using TrainServe.Server.Documentation;
using TrainServe.Server.Generation;
using TrainServe.Server.Lifecycle;
using TrainServe.Server.Limits;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Endpoints;

/// <summary><c>POST /v1/embeddings</c>: the mean of the model's last hidden states, of length 1.</summary>
internal sealed class EmbeddingsEndpoints(ModelCatalogue catalogue, ServerOptions options, DrainState drain, RateLimits limits)
{
    public static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("/v1/embeddings", (HttpContext context, EmbeddingsEndpoints embeddings) => embeddings.HandleAsync(context))
            .WithName("createEmbedding")
            .WithSummary("Vectors of texts: the mean of the model's last hidden states, of length 1.")
            .WithTags("OpenAI")
            .WithBody(EmbeddingsRequest.Table)
            .Produces<EmbeddingList>()
            .ProducesErrors();

    private async Task HandleAsync(HttpContext context)
    {
        drain.ThrowIfDraining();
        await limits.EnterAsync(context);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, drain.Deadline);
        var body = await RequestBody.ReadAsync(context.Request, options.MaxBodyBytes, context.RequestAborted);
        var request = EmbeddingsRequest.Parse(body.Span);
        using var lease = catalogue.Lease(request.Model);
        var model = lease.Model;
        int[][] prompts = [.. request.Input.Select(input => TextPrompts.Encode(model, input, addSpecialTokens: true, "input"))];
        if (Array.Find(prompts, prompt => prompt.Length > model.ContextLength) is { } long_)
        {
            throw SamplingPlan.TooLong(model, "input", $"your input resulted in {long_.Length} tokens");
        }
        int tokens = prompts.Sum(prompt => prompt.Length);
        await limits.ChargePromptAsync(context, tokens);
        var vectors = new EmbeddingObject[prompts.Length];
        for (int i = 0; i < prompts.Length; i++)
        {
            vectors[i] = new EmbeddingObject(i, Write(await EmbedAsync(model, prompts[i], stop.Token), request.Base64));
        }
        await context.Response.WriteAsJsonAsync(new EmbeddingList(vectors, model.Id, new EmbeddingUsage(tokens)), WireJson.Wire.EmbeddingList, "application/json", context.RequestAborted);
    }

    private static async Task<float[]> EmbedAsync(ServedModel model, int[] ids, CancellationToken cancellationToken)
    {
        float[] vector;
        try
        {
            vector = await model.Engine.EmbedAsync(ids, cancellationToken);
        }
        catch (NotSupportedException)
        {
            throw new InvalidRequestException($"The export of '{model.Id}' gives no embeddings; export the model again.", "model", "unsupported_model");
        }
        catch (QueueFullException full)
        {
            throw new ServerUnavailableException("The server is busy: its queue is full. Please try again.", model.Rate.RetryAfter(full.Waiting), "server_overloaded");
        }
        float length = TensorPrimitives.Norm(vector);
        if (length > 0)
        {
            TensorPrimitives.Divide(vector, length, vector);
        }
        return vector;
    }

    private static JsonElement Write(float[] vector, bool base64) => base64
        ? JsonSerializer.SerializeToElement(Convert.ToBase64String(MemoryMarshal.AsBytes(vector.AsSpan())), WireJson.Wire.String)
        : JsonSerializer.SerializeToElement(vector, WireJson.Wire.SingleArray);
}
