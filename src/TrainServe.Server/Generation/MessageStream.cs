using TrainServe.Server.Contracts;

namespace TrainServe.Server.Generation;

/// <summary>Anthropic's stream: message_start, blocks of content, message_delta with the reason for its end, message_stop.</summary>
internal sealed class MessageStream(HttpContext context, AnswerIdentity answer, TimeSpan pingInterval, TimeProvider time)
    : AnswerStream(context, answer, pingInterval, time)
{
    private Block _open;
    private int _index = -1;
    private (string Reason, string? Sequence) _stop;

    private enum Block
    {
        None,
        Text,
        Call,
    }

    /// <summary>Anthropic's word for why an answer ended.</summary>
    public static string StopReason(string finishReason, string? stopText) => finishReason switch
    {
        "length" => "max_tokens",
        "tool_calls" => "tool_use",
        _ => stopText is null ? "end_turn" : "stop_sequence",
    };

    protected override void Start(TextRun run) => WriteEvent(
        new MessageStartEvent(new AnthropicMessage(Answer.Id, Answer.Model, [], null, null, AnthropicUsage.Of(new CompletionUsage(run.PromptTokens, 0)))),
        WireJson.Wire.MessageStartEvent, "message_start"u8);

    protected override void Write(in ChoiceDelta delta)
    {
        if (delta.Text.Length > 0)
        {
            if (_open != Block.Text)
            {
                Open(Block.Text, ContentBlock.OfText(""));
            }
            WriteEvent(new ContentBlockDeltaEvent(_index, new ContentBlockDelta("text_delta") { Text = delta.Text }), WireJson.Wire.ContentBlockDeltaEvent, "content_block_delta"u8);
        }
        foreach (var call in delta.ToolCalls)
        {
            if (call.Id is not null)
            {
                Open(Block.Call, ContentBlock.OfCall(call.Id, call.Name!, "{}"));
            }
            else
            {
                WriteEvent(new ContentBlockDeltaEvent(_index, new ContentBlockDelta("input_json_delta") { PartialJson = call.Arguments }), WireJson.Wire.ContentBlockDeltaEvent, "content_block_delta"u8);
            }
        }
        if (delta.FinishReason is { } reason)
        {
            _stop = (StopReason(reason, delta.StopText), delta.StopText);
        }
    }

    protected override void End(TextRun run)
    {
        Close();
        WriteEvent(new MessageDeltaEvent(new MessageDelta(_stop.Reason, _stop.Sequence), AnthropicUsage.Of(run.Usage)), WireJson.Wire.MessageDeltaEvent, "message_delta"u8);
        WriteEvent(new BareEvent("message_stop"), WireJson.Wire.BareEvent, "message_stop"u8);
    }

    protected override void Ping() => WriteEvent(new BareEvent("ping"), WireJson.Wire.BareEvent, "ping"u8);

    protected override void Fault(ApiError error) => WriteEvent(error.ForAnthropic(requestId: null), WireJson.Wire.AnthropicError, "error"u8);

    private void Open(Block kind, ContentBlock block)
    {
        Close();
        (_open, _index) = (kind, _index + 1);
        WriteEvent(new ContentBlockStartEvent(_index, block), WireJson.Wire.ContentBlockStartEvent, "content_block_start"u8);
    }

    private void Close()
    {
        if (_open != Block.None)
        {
            WriteEvent(new ContentBlockStopEvent(_index), WireJson.Wire.ContentBlockStopEvent, "content_block_stop"u8);
            _open = Block.None;
        }
    }
}
