using System.Text.Json.Serialization.Metadata;
using TrainServe.Server.Catalogue;
using TrainServe.Server.Contracts;
using TrainServe.Server.Documentation;
using TrainServe.Server.Generation;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Endpoints;

/// <summary><c>POST /v1/responses</c>: OpenAI's Responses API as far as it needs no memory.</summary>
internal sealed class ResponsesEndpoints(AnswerServices services) : AnswerRoute<ResponsesRequest, ResponseObject>(services)
{
    private readonly TimeProvider _time = services.Time;

    protected override string IdPrefix => "resp_";
    protected override string PromptName => "input";
    protected override JsonTypeInfo<ResponseObject> AnswerType => WireJson.Wire.ResponseObject;

    public static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("/v1/responses", (HttpContext context, ResponsesEndpoints responses) => responses.HandleAsync(context))
            .WithName("createResponse")
            .WithSummary("Answers a conversation in the form of the Responses API, whole or as a stream of server-sent events. Nothing is stored.")
            .WithTags("OpenAI")
            .WithBody(ResponsesParameters.Table)
            .Produces<ResponseObject>()
            .ProducesErrors();

    protected override ResponsesRequest Parse(ReadOnlySpan<byte> body) => ResponsesRequest.Parse(body, Options.MaxMessages);

    protected override IReadOnlyList<int[]> Encode(ServedModel model, ResponsesRequest request) => [ChatPrompt.Encode(model, request)];

    protected override AnswerStream Stream(HttpContext context, AnswerIdentity answer, ResponsesRequest request, TimeProvider time) =>
        new ResponseStream(context, answer, request, Options.PingInterval, time);

    protected override ResponseObject Whole(AnswerIdentity answer, ResponsesRequest request, IReadOnlyList<WholeChoice> choices, CompletionUsage usage) =>
        ResponseBuilder.Make(answer, request, ResponseBuilder.Status(choices[0].FinishReason), ResponseBuilder.Items(choices[0]), usage, _time.GetUtcNow().ToUnixTimeSeconds());
}
