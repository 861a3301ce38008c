using TrainServe.Server.Contracts;

namespace TrainServe.Server.Generation;

/// <summary>Anthropic's stream: message_start, blocks of content, message_delta with the reason for its end, message_stop.</summary>
internal sealed class MessageStream(HttpContext context, AnswerIdentity answer, TimeSpan pingInterval, TimeProvider time)
    : AnswerStream(context, answer, pingInterval, time)
{
    private bool _inText;
    private (string Reason, string? Sequence) _stop;

    /// <summary>Anthropic's word for why an answer ended.</summary>
    public static string StopReason(string finishReason, string? stopText) => finishReason switch
    {
        "length" => "max_tokens",
        _ => stopText is null ? "end_turn" : "stop_sequence",
    };

    protected override void Start(TextRun run) => WriteEvent(
        new MessageStartEvent(new AnthropicMessage(Answer.Id, Answer.Model, [], null, null, AnthropicUsage.Of(new CompletionUsage(run.PromptTokens, 0)))),
        WireJson.Wire.MessageStartEvent, "message_start"u8);

    protected override void Write(in ChoiceDelta delta)
    {
        if (delta.Text.Length > 0)
        {
            if (!_inText)
            {
                _inText = true;
                WriteEvent(new ContentBlockStartEvent(0, ContentBlock.OfText("")), WireJson.Wire.ContentBlockStartEvent, "content_block_start"u8);
            }
            WriteEvent(new ContentBlockDeltaEvent(0, new ContentBlockDelta("text_delta") { Text = delta.Text }), WireJson.Wire.ContentBlockDeltaEvent, "content_block_delta"u8);
        }
        if (delta.FinishReason is { } reason)
        {
            _stop = (StopReason(reason, delta.StopText), delta.StopText);
        }
    }

    protected override void End(TextRun run)
    {
        if (_inText)
        {
            WriteEvent(new ContentBlockStopEvent(0), WireJson.Wire.ContentBlockStopEvent, "content_block_stop"u8);
        }
        WriteEvent(new MessageDeltaEvent(new MessageDelta(_stop.Reason, _stop.Sequence), AnthropicUsage.Of(run.Usage)), WireJson.Wire.MessageDeltaEvent, "message_delta"u8);
        WriteEvent(new BareEvent("message_stop"), WireJson.Wire.BareEvent, "message_stop"u8);
    }

    protected override void Ping() => WriteEvent(new BareEvent("ping"), WireJson.Wire.BareEvent, "ping"u8);

    protected override void Fault(ApiError error) => WriteEvent(error.ForAnthropic(requestId: null), WireJson.Wire.AnthropicError, "error"u8);
}
