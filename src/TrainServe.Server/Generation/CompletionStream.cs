using TrainServe.Server.Contracts;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Generation;

/// <summary>OpenAI's stream of plain completions: text, finish reason, usage, <c>[DONE]</c>.</summary>
internal sealed class CompletionStream(HttpContext context, AnswerIdentity answer, CompletionRequest request, TimeSpan pingInterval, TimeProvider time)
    : AnswerStream(context, answer, pingInterval, time)
{
    private readonly Dictionary<int, int> _offsets = [];

    protected override void Start(TextRun run)
    {
    }

    protected override void Write(in ChoiceDelta delta)
    {
        int offset = _offsets.GetValueOrDefault(delta.Choice);
        var logProbs = request.Logprobs ? CompletionLogProbs.Of(delta.LogProbs, offset) : null;
        _offsets[delta.Choice] = offset + delta.LogProbs.Sum(entry => entry.Token.Length);
        WriteChunk([new CompletionChunkChoice(delta.Text, delta.Choice, logProbs, delta.FinishReason)], null);
    }

    protected override void End(TextRun run)
    {
        if (request.IncludesUsage)
        {
            WriteChunk([], run.Usage);
        }
        WriteRaw("data: [DONE]\n\n"u8);
    }

    private void WriteChunk(IReadOnlyList<CompletionChunkChoice> choices, CompletionUsage? usage)
    {
        if (request.IncludesUsage)
        {
            WriteEvent(new TextCompletionUsageChunk(Answer.Id, Answer.Created, Answer.Model, choices, Answer.Fingerprint, usage), WireJson.Wire.TextCompletionUsageChunk);
        }
        else
        {
            WriteEvent(new TextCompletionChunk(Answer.Id, Answer.Created, Answer.Model, choices, Answer.Fingerprint), WireJson.Wire.TextCompletionChunk);
        }
    }
}
