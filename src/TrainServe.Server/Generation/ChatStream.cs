using TrainServe.Server.Contracts;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Generation;

/// <summary>OpenAI's chat stream: role, content, finish reason, usage, <c>[DONE]</c>.</summary>
internal sealed class ChatStream(HttpContext context, AnswerIdentity answer, ChatCompletionRequest request, TimeSpan pingInterval, TimeProvider time)
    : AnswerStream(context, answer, pingInterval, time)
{
    protected override void Start(TextRun run)
    {
        for (int i = 0; i < run.Choices; i++)
        {
            WriteChunk([new ChunkChoice(i, new ChunkDelta { Role = "assistant", Content = "" }, null, null)], null);
        }
    }

    protected override void Write(in ChoiceDelta delta)
    {
        if (delta.Text.Length > 0 || delta.LogProbs.Count > 0)
        {
            WriteChunk([new ChunkChoice(delta.Choice, new ChunkDelta { Content = delta.Text }, request.Logprobs ? new ChoiceLogProbs(delta.LogProbs) : null, null)], null);
        }
        foreach (var call in delta.ToolCalls)
        {
            var piece = new ChunkToolCall(call.Index, new ChunkFunction(call.Arguments) { Name = call.Name }) { Id = call.Id };
            WriteChunk([new ChunkChoice(delta.Choice, new ChunkDelta { ToolCalls = [piece] }, null, null)], null);
        }
        if (delta.FinishReason is { } reason)
        {
            WriteChunk([new ChunkChoice(delta.Choice, new ChunkDelta(), null, reason)], null);
        }
    }

    protected override void End(TextRun run)
    {
        if (request.IncludesUsage)
        {
            WriteChunk([], run.Usage);
        }
        WriteRaw("data: [DONE]\n\n"u8);
    }

    private void WriteChunk(IReadOnlyList<ChunkChoice> choices, CompletionUsage? usage)
    {
        if (request.IncludesUsage)
        {
            WriteEvent(new ChatCompletionUsageChunk(Answer.Id, Answer.Created, Answer.Model, choices, Answer.Fingerprint, usage), WireJson.Wire.ChatCompletionUsageChunk);
        }
        else
        {
            WriteEvent(new ChatCompletionChunk(Answer.Id, Answer.Created, Answer.Model, choices, Answer.Fingerprint), WireJson.Wire.ChatCompletionChunk);
        }
    }
}
