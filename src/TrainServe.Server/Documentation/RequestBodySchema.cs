using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;
using TrainServe.Server.Contracts;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Documentation;

/// <summary>Describes the body of a request from the table that reads it.</summary>
internal sealed class RequestBodySchema : IOpenApiOperationTransformer
{
    public Task TransformAsync(OpenApiOperation operation, OpenApiOperationTransformerContext context, CancellationToken cancellationToken)
    {
        if (context.Description.ActionDescriptor.EndpointMetadata.OfType<ParameterTable>().FirstOrDefault() is { } table)
        {
            operation.RequestBody = new OpenApiRequestBody
            {
                Required = true,
                Content = new Dictionary<string, OpenApiMediaType>(StringComparer.Ordinal) { ["application/json"] = new() { Schema = Describe(table) } },
            };
        }
        return Task.CompletedTask;
    }

    private static OpenApiSchema Describe(ParameterTable table) => new()
    {
        Type = JsonSchemaType.Object,
        AdditionalPropertiesAllowed = false,
        Required = table.All.Where(parameter => parameter.Required).Select(parameter => parameter.Name).ToHashSet(StringComparer.Ordinal),
        Properties = table.All.ToDictionary(parameter => parameter.Name, IOpenApiSchema (parameter) => new OpenApiSchema { Description = parameter.Sentence }, StringComparer.Ordinal),
    };
}

/// <summary>What the descriptions of routes have in common.</summary>
internal static class RouteDescriptions
{
    /// <summary>The route's body is what this table reads.</summary>
    public static RouteHandlerBuilder WithBody(this RouteHandlerBuilder route, ParameterTable table) => route.WithMetadata(table);

    public static RouteHandlerBuilder ProducesErrors(this RouteHandlerBuilder route) => route
        .Produces<ErrorResponse>(StatusCodes.Status400BadRequest)
        .Produces<ErrorResponse>(StatusCodes.Status404NotFound)
        .Produces<ErrorResponse>(StatusCodes.Status503ServiceUnavailable);
}
