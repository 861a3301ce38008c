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
            document.Info.Description = "Language models that were trained here, behind OpenAI's chat completions.";
            return Task.CompletedTask;
        });
        options.AddOperationTransformer<ChatRequestSchema>();
    }
}
