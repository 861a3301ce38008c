using System.Text.Json;
using TrainServe.Core.Sampling;
using TrainServe.Server.Contracts;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Generation;

/// <summary>Makes response objects: those of a stream's events and whole ones alike.</summary>
internal static class ResponseBuilder
{
    private static readonly JsonElement PlainText = Json("""{"format":{"type":"text"}}"""), Auto = Json("\"auto\""), NoTools = Json("[]"), NoMetadata = Json("{}");

    /// <param name="answer">Who answers.</param>
    /// <param name="request">What is repeated.</param>
    /// <param name="status">in_progress, completed or incomplete.</param>
    /// <param name="output">What was made.</param>
    /// <param name="usage">Null while it is made.</param>
    /// <param name="completed">When it was complete, in seconds since 1970.</param>
    public static ResponseObject Make(AnswerIdentity answer, ResponsesRequest request, string status, IReadOnlyList<ResponseItem> output, CompletionUsage? usage, long? completed) =>
        new(answer.Id, answer.Created, status, answer.Model, output)
        {
            CompletedAt = status == "completed" ? completed : null,
            IncompleteDetails = status == "incomplete" ? new IncompleteDetails("max_output_tokens") : null,
            Instructions = request.Instructions,
            MaxOutputTokens = request.MaxTokens,
            ParallelToolCalls = request.ParallelToolCalls,
            Temperature = request.Temperature ?? (float)new SamplingParameters().Temperature,
            TopP = request.TopP ?? new SamplingParameters().TopP,
            TopLogprobs = request.TopLogprobs ?? 0,
            Text = request.Echo.Text is { } text && text.TryGetProperty("format", out _) ? text : PlainText,
            ToolChoice = request.Echo.ToolChoice ?? Auto,
            Tools = request.Echo.Tools ?? NoTools,
            Metadata = request.Echo.Metadata ?? NoMetadata,
            Usage = usage is null ? null : ResponseUsage.Of(usage),
            SystemFingerprint = answer.Fingerprint,
        };

    public static string Status(string finishReason) => finishReason == "length" ? "incomplete" : "completed";

    /// <summary>The items of a whole choice: its text, then its calls.</summary>
    public static IReadOnlyList<ResponseItem> Items(WholeChoice choice)
    {
        string status = Status(choice.FinishReason);
        ResponseItem[] text = choice.Text.Length > 0 || choice.ToolCalls.Count == 0 ? [ResponseItem.Message(NewId("msg_"), choice.ToolCalls.Count == 0 ? status : "completed", new ResponsePart(choice.Text, WithBytes(choice.LogProbs)))] : [];
        return [.. text, .. choice.ToolCalls.Select((call, i) =>
            ResponseItem.Call(NewId("fc_"), i == choice.ToolCalls.Count - 1 ? status : "completed", call.Id, call.Name, call.Arguments))];
    }

    /// <summary>Here a control token has no bytes rather than none to tell.</summary>
    public static IReadOnlyList<TokenLogProbEntry> WithBytes(IReadOnlyList<TokenLogProbEntry> entries) => [.. entries.Select(entry => entry with
    {
        Bytes = entry.Bytes ?? [], TopLogprobs = [.. entry.TopLogprobs.Select(top => top with { Bytes = top.Bytes ?? [] })],
    })];

    public static string NewId(string prefix) => $"{prefix}{Guid.NewGuid():N}";

    private static JsonElement Json(string text) => JsonDocument.Parse(text).RootElement;
}
