using System.Buffers;
using System.IO.Pipelines;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http.Features;
using TrainServe.Server.Contracts;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Generation;

/// <summary>Writes a run as server-sent events: role, content, finish reason, usage, <c>[DONE]</c>.</summary>
/// <remarks>The first byte waits for the first token or the first ping, so that what fails early still has a real HTTP status.</remarks>
internal sealed class ChatStream(HttpContext context, AnswerIdentity answer, ChatCompletionRequest request, TimeSpan pingInterval, TimeProvider time)
{
    private readonly bool _includeUsage = request.StreamOptions is { IncludeUsage: true };
    private readonly PipeWriter _body = context.Response.BodyWriter;
    private readonly Utf8JsonWriter _json = new(context.Response.BodyWriter, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true });
    private bool _begun;

    /// <exception cref="BrokenStreamException">What the engine threw after the first byte. It was reported in the stream; now the connection has to break.</exception>
    /// <exception cref="Exception">What the engine threw before the first byte.</exception>
    public async Task WriteAsync(ChatRun run, CancellationToken cancellationToken)
    {
        try
        {
            await WriteAllAsync(run, cancellationToken);
        }
        catch (Exception exception) when (context.Response.HasStarted && !context.RequestAborted.IsCancellationRequested)
        {
            WriteEvent(new ErrorResponse(ApiError.Of(exception).Detail), WireJson.Wire.ErrorResponse);
            await _body.FlushAsync(CancellationToken.None);
            throw new BrokenStreamException(answer.Id, exception);
        }
    }

    private async Task WriteAllAsync(ChatRun run, CancellationToken cancellationToken)
    {
        var deltas = run.Deltas;
        while (await WaitAsync(run, cancellationToken))
        {
            Begin();
            while (deltas.TryRead(out var delta))
            {
                Write(delta);
            }
            await _body.FlushAsync(cancellationToken);
        }
        Begin();
        if (_includeUsage)
        {
            WriteChunk([], new CompletionUsage(run.PromptTokens, run.CompletionTokens));
        }
        _body.Write("data: [DONE]\n\n"u8);
        await _body.FlushAsync(cancellationToken);
    }

    /// <summary>Waits for more, with a comment for each interval of silence.</summary>
    private async ValueTask<bool> WaitAsync(ChatRun run, CancellationToken cancellationToken)
    {
        var wait = run.Deltas.WaitToReadAsync(cancellationToken);
        if (wait.IsCompleted)
        {
            return await wait;
        }
        var task = wait.AsTask();
        while (true)
        {
            try
            {
                return await task.WaitAsync(pingInterval, time, CancellationToken.None);
            }
            catch (TimeoutException) when (!task.IsCompleted)
            {
                Begin();
                _body.Write(": ping\n\n"u8);
                await _body.FlushAsync(cancellationToken);
            }
        }
    }

    private void Begin()
    {
        if (_begun)
        {
            return;
        }
        _begun = true;
        var response = context.Response;
        response.ContentType = "text/event-stream";
        response.Headers.CacheControl = "no-cache";
        response.Headers["X-Accel-Buffering"] = "no";
        context.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
        for (int i = 0; i < request.N; i++)
        {
            WriteChunk([new ChunkChoice(i, new ChunkDelta { Role = "assistant", Content = "" }, null, null)], null);
        }
    }

    private void Write(in ChoiceDelta delta)
    {
        if (delta.Text.Length > 0 || delta.LogProbs.Count > 0)
        {
            WriteChunk([new ChunkChoice(delta.Choice, new ChunkDelta { Content = delta.Text }, request.Logprobs ? new ChoiceLogProbs(delta.LogProbs) : null, null)], null);
        }
        if (delta.FinishReason is { } reason)
        {
            WriteChunk([new ChunkChoice(delta.Choice, new ChunkDelta(), null, reason)], null);
        }
    }

    private void WriteChunk(IReadOnlyList<ChunkChoice> choices, CompletionUsage? usage)
    {
        if (_includeUsage)
        {
            WriteEvent(new ChatCompletionUsageChunk(answer.Id, answer.Created, answer.Model, choices, answer.Fingerprint, usage), WireJson.Wire.ChatCompletionUsageChunk);
        }
        else
        {
            WriteEvent(new ChatCompletionChunk(answer.Id, answer.Created, answer.Model, choices, answer.Fingerprint), WireJson.Wire.ChatCompletionChunk);
        }
    }

    private void WriteEvent<T>(T value, JsonTypeInfo<T> type)
    {
        _body.Write("data: "u8);
        _json.Reset();
        JsonSerializer.Serialize(_json, value, type);
        _json.Flush();
        _body.Write("\n\n"u8);
    }
}
