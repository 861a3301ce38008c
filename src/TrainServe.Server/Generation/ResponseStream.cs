using System.Text;
using TrainServe.Server.Contracts;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Generation;

/// <summary>The stream of the Responses API: the response as it begins, each item with its pieces, the response as it ended.</summary>
internal sealed class ResponseStream(HttpContext context, AnswerIdentity answer, ResponsesRequest request, TimeSpan pingInterval, TimeProvider time)
    : AnswerStream(context, answer, pingInterval, time)
{
    private readonly List<ResponseItem> _output = [];
    private readonly StringBuilder _content = new();
    private readonly List<TokenLogProbEntry> _logProbs = [];
    private ResponseItem? _open;
    private string _finishReason = "stop";
    private int _sequence;

    protected override void Start(TextRun run)
    {
        var response = ResponseBuilder.Make(Answer, request, "in_progress", [], null, null);
        Send("response.created", item => item with { Response = response });
        Send("response.in_progress", item => item with { Response = response });
    }

    protected override void Write(in ChoiceDelta delta)
    {
        if (delta.Text.Length > 0 || delta.LogProbs.Count > 0)
        {
            WriteText(delta.Text, ResponseBuilder.WithBytes(delta.LogProbs));
        }
        foreach (var call in delta.ToolCalls)
        {
            WriteCall(call);
        }
        _finishReason = delta.FinishReason ?? _finishReason;
    }

    protected override void End(TextRun run)
    {
        if (_open is null && _output.Count == 0)
        {
            WriteText("", []);
        }
        Close(ResponseBuilder.Status(_finishReason));
        string status = ResponseBuilder.Status(_finishReason);
        var response = ResponseBuilder.Make(Answer, request, status, _output, run.Usage, Time.GetUtcNow().ToUnixTimeSeconds());
        Send($"response.{status}", item => item with { Response = response });
    }

    protected override void Fault(ApiError error)
    {
        WriteEvent(new ResponseErrorEvent(error.Detail.Code ?? error.Detail.Type, error.Detail.Message, error.Detail.Param, _sequence++), WireJson.Wire.ResponseErrorEvent, "error"u8);
    }

    private void WriteText(string text, IReadOnlyList<TokenLogProbEntry> logProbs)
    {
        if (_open is null)
        {
            Open(ResponseItem.Message(ResponseBuilder.NewId("msg_"), "in_progress"));
            Send("response.content_part.added", item => item with { ItemId = _open!.Id, OutputIndex = _output.Count, ContentIndex = 0, Part = new ResponsePart("", []) });
        }
        _content.Append(text);
        _logProbs.AddRange(logProbs);
        if (text.Length > 0 || logProbs.Count > 0)
        {
            Send("response.output_text.delta", item => item with { ItemId = _open!.Id, OutputIndex = _output.Count, ContentIndex = 0, Delta = text, Logprobs = logProbs });
        }
    }

    private void WriteCall(ToolCallDelta call)
    {
        if (call.Id is not null)
        {
            Close("completed");
            Open(ResponseItem.Call(ResponseBuilder.NewId("fc_"), "in_progress", call.Id, call.Name!, ""));
            return;
        }
        _content.Append(call.Arguments);
        Send("response.function_call_arguments.delta", item => item with { ItemId = _open!.Id, OutputIndex = _output.Count, Delta = call.Arguments });
    }

    private void Open(ResponseItem opened)
    {
        _open = opened;
        _content.Clear();
        _logProbs.Clear();
        Send("response.output_item.added", item => item with { OutputIndex = _output.Count, Item = opened });
    }

    private void Close(string status)
    {
        if (_open is not { } open)
        {
            return;
        }
        string content = _content.ToString();
        ResponseItem done;
        if (open.CallId is not null)
        {
            Send("response.function_call_arguments.done", item => item with { ItemId = open.Id, OutputIndex = _output.Count, Name = open.Name, Arguments = content });
            done = open with { Status = status, Arguments = content };
        }
        else
        {
            var part = new ResponsePart(content, [.. _logProbs]);
            Send("response.output_text.done", item => item with { ItemId = open.Id, OutputIndex = _output.Count, ContentIndex = 0, Text = content, Logprobs = part.Logprobs });
            Send("response.content_part.done", item => item with { ItemId = open.Id, OutputIndex = _output.Count, ContentIndex = 0, Part = part });
            done = open with { Status = status, Content = [part] };
        }
        Send("response.output_item.done", item => item with { OutputIndex = _output.Count, Item = done });
        _output.Add(done);
        _open = null;
    }

    private void Send(string type, Func<ResponseEvent, ResponseEvent> fill) =>
        WriteEvent(fill(new ResponseEvent(type, _sequence++)), WireJson.Wire.ResponseEvent, Encoding.ASCII.GetBytes(type));
}
