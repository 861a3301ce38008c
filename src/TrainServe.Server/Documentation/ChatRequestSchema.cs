using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Documentation;

/// <summary>Describes the body of a chat request from the table that reads it.</summary>
internal sealed class ChatRequestSchema : IOpenApiOperationTransformer
{
    /// <summary>Metadata of the route whose body this is.</summary>
    public static object Marker { get; } = new MarkerMetadata();

    public Task TransformAsync(OpenApiOperation operation, OpenApiOperationTransformerContext context, CancellationToken cancellationToken)
    {
        if (context.Description.ActionDescriptor.EndpointMetadata.OfType<MarkerMetadata>().Any())
        {
            operation.RequestBody = new OpenApiRequestBody
            {
                Required = true,
                Content = new Dictionary<string, OpenApiMediaType>(StringComparer.Ordinal) { ["application/json"] = new() { Schema = Describe() } },
            };
        }
        return Task.CompletedTask;
    }

    private static OpenApiSchema Describe() => new()
    {
        Type = JsonSchemaType.Object,
        AdditionalPropertiesAllowed = false,
        Required = new HashSet<string>(StringComparer.Ordinal) { "messages", "model" },
        Properties = ChatParameters.All.ToDictionary(parameter => parameter.Name, IOpenApiSchema (parameter) => new OpenApiSchema { Description = Describe(parameter) }, StringComparer.Ordinal),
    };

    private static string Describe(ChatParameter parameter) => parameter.Treatment switch
    {
        ParameterTreatment.Honoured => parameter.Effect,
        ParameterTreatment.WithoutEffect => $"Accepted without effect. {parameter.Effect}",
        _ => $"Refused: {parameter.Effect}" + (parameter.Neutral.Count > 0 ? $" Allowed, as they ask for nothing: {string.Join(", ", parameter.Neutral)}." : ""),
    };

    private sealed record MarkerMetadata;
}
