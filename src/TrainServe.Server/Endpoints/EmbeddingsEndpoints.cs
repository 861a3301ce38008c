using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using TrainServe.Server.Catalogue;
using TrainServe.Server.Contracts;
using TrainServe.Server.Documentation;
using TrainServe.Server.Generation;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Endpoints;

/// <summary><c>POST /v1/embeddings</c>: the mean of the model's last hidden states, of length 1.</summary>
internal sealed class EmbeddingsEndpoints(AnswerServices services) : ReadingRoute<EmbeddingsRequest, float[], EmbeddingList>(services)
{
    protected override string InputName => "input";
    protected override string IdPrefix => "embd-";
    protected override JsonTypeInfo<EmbeddingList> AnswerType => WireJson.Wire.EmbeddingList;

    public static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("/v1/embeddings", (HttpContext context, EmbeddingsEndpoints embeddings) => embeddings.HandleAsync(context))
            .WithName("createEmbedding")
            .WithSummary("Vectors of texts: the mean of the model's last hidden states, of length 1.")
            .WithTags("OpenAI")
            .WithBody(EmbeddingsRequest.Table)
            .Produces<EmbeddingList>()
            .ProducesErrors();

    protected override EmbeddingsRequest Parse(ReadOnlySpan<byte> body) => EmbeddingsRequest.Parse(body);

    protected override IReadOnlyList<int[]> Encode(ServedModel model, EmbeddingsRequest request) =>
        [.. request.Input.Select(input => TextPrompts.Encode(model, input, addSpecialTokens: true, InputName))];

    protected override async Task<float[]> ReadAsync(ServedModel model, int[] ids, CancellationToken cancellationToken)
    {
        float[] vector = await model.Engine.EmbedAsync(ids, cancellationToken);
        float length = TensorPrimitives.Norm(vector);
        if (length > 0)
        {
            TensorPrimitives.Divide(vector, length, vector);
        }
        return vector;
    }

    protected override InvalidRequestException Unsupported(ServedModel model) =>
        new($"The export of '{model.Id}' gives no embeddings; export the model again.", "model", "unsupported_model");

    protected override EmbeddingList Answer(AnswerIdentity answer, EmbeddingsRequest request, IReadOnlyList<float[]> findings, int tokens) =>
        new([.. findings.Select((vector, i) => new EmbeddingObject(i, Write(vector, request.Base64)))], answer.Model, new ReadingUsage(tokens));

    private static JsonElement Write(float[] vector, bool base64) => base64
        ? JsonSerializer.SerializeToElement(Convert.ToBase64String(MemoryMarshal.AsBytes(vector.AsSpan())), WireJson.Wire.String)
        : JsonSerializer.SerializeToElement(vector, WireJson.Wire.SingleArray);
}
