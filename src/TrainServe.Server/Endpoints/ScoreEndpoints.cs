using System.Text.Json.Serialization.Metadata;
using TrainServe.Server.Catalogue;
using TrainServe.Server.Contracts;
using TrainServe.Server.Documentation;
using TrainServe.Server.Generation;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Endpoints;

/// <summary><c>POST /score</c>: what a reward model thinks of answers, in the form of vLLM's route of that name.</summary>
internal sealed class ScoreEndpoints(AnswerServices services) : ReadingRoute<ScoreRequest, float, ScoreList>(services)
{
    protected override string InputName => "messages";
    protected override string IdPrefix => "score-";
    protected override JsonTypeInfo<ScoreList> AnswerType => WireJson.Wire.ScoreList;

    public static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("/score", (HttpContext context, ScoreEndpoints scores) => scores.HandleAsync(context))
            .WithName("score")
            .WithSummary("What a reward model thinks of answers: the higher the better. Only differences mean something.")
            .WithTags("Reward models")
            .WithBody(ScoreRequest.Table)
            .Produces<ScoreList>()
            .ProducesErrors();

    protected override ScoreRequest Parse(ReadOnlySpan<byte> body) => ScoreRequest.Parse(body, Options.MaxMessages);

    protected override IReadOnlyList<int[]> Encode(ServedModel model, ScoreRequest request) =>
        [.. request.Conversations.Select(conversation => ChatPrompt.EncodeWhole(model, conversation))];

    protected override Task<float> ReadAsync(ServedModel model, int[] ids, CancellationToken cancellationToken) => model.Engine.RewardAsync(ids, cancellationToken);

    protected override InvalidRequestException Unsupported(ServedModel model) =>
        new($"'{model.Id}' is no reward model, so it has no score to give.", "model", "unsupported_model");

    protected override ScoreList Answer(AnswerIdentity answer, ScoreRequest request, IReadOnlyList<float> findings, int tokens) => new(
        answer.Id, answer.Created, answer.Model, [.. findings.Select((score, i) => new ScoreObject(i, score))], new ReadingUsage(tokens), answer.Fingerprint);
}
