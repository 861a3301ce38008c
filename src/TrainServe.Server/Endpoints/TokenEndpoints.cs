using System.Text.Json.Serialization.Metadata;
using TrainServe.Server.Catalogue;
using TrainServe.Server.Contracts;
using TrainServe.Server.Documentation;
using TrainServe.Server.Generation;
using TrainServe.Server.Limits;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Endpoints;

/// <summary><c>/tokenize</c>, <c>/detokenize</c> and <c>/apply-template</c>: what the model really sees.</summary>
internal static class TokenEndpoints
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost("/tokenize", async (HttpContext context, ModelCatalogue catalogue, ServerOptions options, RateLimits limits) =>
            {
                var request = TokenizeRequest.Parse(await BodyAsync(context, options, limits), options.MaxMessages);
                await WriteAsync(context, Tokenize(catalogue.Find(request.Model), request), WireJson.Wire.TokenizeResponse);
            })
            .WithName("tokenize").WithSummary("The tokens of a text or a conversation.").WithTags("Tokens").WithBody(TokenizeRequest.Table)
            .Produces<TokenizeResponse>().ProducesErrors();
        routes.MapPost("/detokenize", async (HttpContext context, ModelCatalogue catalogue, ServerOptions options, RateLimits limits) =>
            {
                var request = DetokenizeRequest.Parse(await BodyAsync(context, options, limits));
                var model = catalogue.Find(request.Model);
                model.RequireVocabulary(request.Tokens!, "tokens");
                await WriteAsync(context, new DetokenizeResponse(model.Tokenizer.Decode([.. request.Tokens!], skipSpecial: false)), WireJson.Wire.DetokenizeResponse);
            })
            .WithName("detokenize").WithSummary("The text of tokens.").WithTags("Tokens").WithBody(DetokenizeRequest.Table)
            .Produces<DetokenizeResponse>().ProducesErrors();
        routes.MapPost("/apply-template", async (HttpContext context, ModelCatalogue catalogue, ServerOptions options, RateLimits limits) =>
            {
                var request = ApplyTemplateRequest.Parse(await BodyAsync(context, options, limits), options.MaxMessages);
                var model = catalogue.Find(request.Model);
                int[] ids = ChatPrompt.Encode(model, request.Messages!);
                await WriteAsync(context, new ApplyTemplateResponse(model.Tokenizer.Decode(ids, skipSpecial: false), ids, model.Template.Name), WireJson.Wire.ApplyTemplateResponse);
            })
            .WithName("applyTemplate").WithSummary("A conversation as the model sees it.").WithTags("Tokens").WithBody(ApplyTemplateRequest.Table)
            .Produces<ApplyTemplateResponse>().ProducesErrors();
    }

    private static TokenizeResponse Tokenize(ServedModel model, TokenizeRequest request)
    {
        int[] ids = request.Messages is { } messages ? ChatPrompt.Encode(model, messages) : TextPrompts.EncodeAny(model, request.Prompt!, request.AddSpecialTokens);
        string[]? texts = request.ReturnTokenStrs ? [.. ids.Select(id => model.Tokenizer.Decode([id], skipSpecial: false, atStart: false))] : null;
        return new TokenizeResponse(ids.Length, model.ContextLength, ids, texts);
    }

    private static async Task<byte[]> BodyAsync(HttpContext context, ServerOptions options, RateLimits limits)
    {
        await limits.EnterAsync(context);
        return (await RequestBody.ReadAsync(context.Request, options.MaxBodyBytes, context.RequestAborted)).ToArray();
    }

    private static Task WriteAsync<T>(HttpContext context, T value, JsonTypeInfo<T> type) =>
        context.Response.WriteAsJsonAsync(value, type, "application/json", context.RequestAborted);
}
