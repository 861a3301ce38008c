using TrainServe.Server.Catalogue;
using TrainServe.Server.Contracts;

namespace TrainServe.Server.Endpoints;

/// <summary><c>GET /v1/models</c> and <c>GET /v1/models/{id}</c>.</summary>
internal static class ModelsEndpoints
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/v1/models", (ModelCatalogue catalogue) => TypedResults.Json(new ModelList([.. catalogue.Models.Select(model => model.Describe())]), WireJson.Wire.ModelList))
            .WithName("listModels").WithSummary("Lists the models that are served.").WithTags("Models")
            .Produces<ModelList>();
        routes.MapGet("/v1/models/{id}", (string id, ModelCatalogue catalogue) => TypedResults.Json(catalogue.Find(id).Describe(), WireJson.Wire.ModelObject))
            .WithName("retrieveModel").WithSummary("Describes a model: context length, parameters, precision, lineage.").WithTags("Models")
            .Produces<ModelObject>()
            .Produces<ErrorResponse>(StatusCodes.Status404NotFound);
    }
}
