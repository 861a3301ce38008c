using TrainServe.Server.Catalogue;
using TrainServe.Server.Contracts;
using TrainServe.Server.Documentation;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Endpoints;

/// <summary><c>/admin</c>: load, unload, reload and name models while the server runs. Needs a key with the scope admin, always.</summary>
internal sealed class AdminEndpoints(ModelCatalogue catalogue, ModelLoads loads, ServerOptions options)
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/admin/models", (AdminEndpoints admin) => admin.List())
            .WithName("adminModels").WithSummary("What is served, under which names, and what could be.").WithTags("Admin")
            .Produces<AdminModelList>().ProducesErrors();
        Map(routes, AdminRequest.LoadTable, "Serves a directory.", (admin, request, cancellation) => admin.LoadAsync(request, mustBeServed: false, cancellation));
        Map(routes, AdminRequest.ReloadTable, "Loads a model's directory anew beside the old version, then lets the new one answer; the old one finishes what it began.",
            (admin, request, cancellation) => admin.LoadAsync(request, mustBeServed: true, cancellation));
        Map(routes, AdminRequest.UnloadTable, "Serves a model no longer; what it began is finished.", (admin, request, _) =>
        {
            admin.Unload(request);
            return Task.CompletedTask;
        });
        Map(routes, AdminRequest.AliasTable, "Gives a model another name, or moves the name from one model to another.", (admin, request, _) =>
        {
            admin.Name(request);
            return Task.CompletedTask;
        });
    }

    private static void Map(IEndpointRouteBuilder routes, ParameterTable table, string summary, Func<AdminEndpoints, AdminRequest, CancellationToken, Task> act)
    {
        string path = table.Route["POST ".Length..];
        routes.MapPost(path, async (HttpContext context, AdminEndpoints admin) =>
            {
                var body = await RequestBody.ReadAsync(context.Request, admin.MaxBodyBytes, context.RequestAborted);
                // A load that was begun is finished, whether or not the operator waits for it.
                await act(admin, AdminRequest.Parse(table, body.Span), CancellationToken.None);
                await admin.List().ExecuteAsync(context);
            })
            .WithName($"admin{char.ToUpperInvariant(path["/admin/".Length])}{path["/admin/x".Length..]}").WithSummary(summary).WithTags("Admin").WithBody(table)
            .Produces<AdminModelList>().ProducesErrors();
    }

    private int MaxBodyBytes => options.MaxBodyBytes;

    private IResult List() => TypedResults.Json(new AdminModelList(
        [.. catalogue.Models.Select(model => new AdminModel(model.Id, model.Precision, model.Fingerprint, model.InFlight, model.Engine.Status.Running, model.Engine.Status.Waiting, model.Package.Directory))],
        catalogue.Aliases, [.. loads.Directories().Select(directory => Path.GetFileName(directory)!)]), WireJson.Wire.AdminModelList);

    private async Task LoadAsync(AdminRequest request, bool mustBeServed, CancellationToken cancellationToken)
    {
        if (mustBeServed)
        {
            RequireServed(request.Model!);
        }
        string directory = loads.DirectoryOf(request.Model!)
            ?? throw new InvalidRequestException($"There is no model directory '{JsonRequestReader.Shown(request.Model!)}'.", "model", "model_not_found", StatusCodes.Status404NotFound);
        try
        {
            await loads.LoadAsync(directory, cancellationToken);
        }
        catch (Exception exception) when (exception is InvalidDataException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new InvalidRequestException($"'{request.Model}' cannot be served: {exception.Message}", "model", "model_not_loadable");
        }
    }

    private void Unload(AdminRequest request)
    {
        RequireServed(request.Model!);
        loads.Unload(request.Model!);
    }

    private void Name(AdminRequest request)
    {
        if (request.Model is not null)
        {
            RequireServed(request.Model);
            if (catalogue.Models.Any(model => model.Id == request.Alias))
            {
                throw new InvalidRequestException($"'{JsonRequestReader.Shown(request.Alias!)}' is the name of a model.", "alias", "invalid_value");
            }
        }
        catalogue.SetAlias(request.Alias!, request.Model);
    }

    private void RequireServed(string id)
    {
        if (catalogue.Models.All(model => model.Id != id))
        {
            throw new InvalidRequestException($"The model '{JsonRequestReader.Shown(id)}' is not served here.", "model", "model_not_found", StatusCodes.Status404NotFound);
        }
    }
}
