using System.Text.Json.Serialization.Metadata;
using TrainServe.Server.Catalogue;
using TrainServe.Server.Contracts;
using TrainServe.Server.Documentation;
using TrainServe.Server.Generation;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Endpoints;

/// <summary><c>POST /v1/completions</c>.</summary>
internal sealed class CompletionsEndpoints(AnswerServices services) : AnswerRoute<CompletionRequest, TextCompletion>(services)
{
    private const int MostPrompts = 128;

    protected override string IdPrefix => "cmpl-";
    protected override string PromptName => "prompt";
    protected override string Operation => "text_completion";
    protected override JsonTypeInfo<TextCompletion> AnswerType => WireJson.Wire.TextCompletion;

    public static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("/v1/completions", (HttpContext context, CompletionsEndpoints completions) => completions.HandleAsync(context))
            .WithName("createCompletion")
            .WithSummary("Goes on with a text, whole or as a stream of server-sent events.")
            .WithTags("OpenAI")
            .WithBody(CompletionParameters.Table)
            .Produces<TextCompletion>()
            .ProducesErrors();

    protected override CompletionRequest Parse(ReadOnlySpan<byte> body) => CompletionRequest.Parse(body, MostPrompts);

    protected override IReadOnlyList<int[]> Encode(ServedModel model, CompletionRequest request) =>
        [.. request.Prompts.Select(prompt => TextPrompts.Encode(model, prompt, request.AddSpecialTokens))];

    protected override AnswerStream Stream(HttpContext context, AnswerIdentity answer, CompletionRequest request, TimeProvider time) =>
        new CompletionStream(context, answer, request, Options.PingInterval, time);

    protected override TextCompletion Whole(AnswerIdentity answer, CompletionRequest request, IReadOnlyList<WholeChoice> choices, CompletionUsage usage) => new(
        answer.Id, answer.Created, answer.Model,
        [.. choices.Select((choice, i) => new CompletionChoice(choice.Text, i, request.Logprobs ? CompletionLogProbs.Of(choice.LogProbs, 0) : null, choice.FinishReason))],
        usage, answer.Fingerprint);
}
