using Microsoft.AspNetCore.OpenApi;

namespace TrainServe.Server.Documentation;

/// <summary>The OpenAPI document at <c>/openapi/v1.json</c>.</summary>
internal static class ApiDocument
{
    public static void Configure(OpenApiOptions options)
    {
        options.AddDocumentTransformer((document, _, _) =>
        {
            document.Info.Title = "TrainServe";
            document.Info.Description = "Language models that were trained here, behind the APIs of OpenAI and Anthropic. What becomes of each parameter is at /docs.";
            return Task.CompletedTask;
        });
        options.AddOperationTransformer<RequestBodySchema>();
    }
}
