using System.Buffers;
using System.IO.Pipelines;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http.Features;
using TrainServe.Server.Contracts;

namespace TrainServe.Server.Generation;

/// <summary>Writes a run as server-sent events; what the events are is the matter of each API's own stream.</summary>
/// <remarks>The first byte waits for the first token or the first ping, so that what fails early still has a real HTTP status.</remarks>
internal abstract class AnswerStream(HttpContext context, AnswerIdentity answer, TimeSpan pingInterval, TimeProvider time)
{
    private static readonly TimeSpan FaultPause = TimeSpan.FromMilliseconds(200);
    private readonly PipeWriter _body = context.Response.BodyWriter;
    private readonly Utf8JsonWriter _json = new(context.Response.BodyWriter, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true });
    private bool _begun;

    protected AnswerIdentity Answer => answer;

    protected TimeProvider Time => time;

    /// <exception cref="BrokenStreamException">What the engine threw after the first byte. It was reported in the stream; now the connection has to break.</exception>
    /// <exception cref="Exception">What the engine threw before the first byte.</exception>
    public async Task WriteAsync(TextRun run, CancellationToken cancellationToken)
    {
        try
        {
            await WriteAllAsync(run, cancellationToken);
        }
        catch (Exception exception) when (context.Response.HasStarted && !context.RequestAborted.IsCancellationRequested)
        {
            Fault(ApiError.Of(exception));
            await _body.FlushAsync(CancellationToken.None);
            // Clients that pass the body through streams of their own drop what is queued in them when the connection breaks.
            await Task.Delay(FaultPause, time, CancellationToken.None);
            throw new BrokenStreamException(answer.Id, exception);
        }
    }

    /// <summary>The events that come before any text.</summary>
    protected abstract void Start(TextRun run);

    protected abstract void Write(in ChoiceDelta delta);

    /// <summary>The events after the last choice has ended.</summary>
    protected abstract void End(TextRun run);

    /// <summary>The event of a failure.</summary>
    protected virtual void Fault(ApiError error) => WriteEvent(new ErrorResponse(error.Detail), WireJson.Wire.ErrorResponse);

    /// <summary>A sign of life.</summary>
    protected virtual void Ping() => WriteRaw(": ping\n\n"u8);

    protected void WriteRaw(ReadOnlySpan<byte> bytes) => _body.Write(bytes);

    /// <param name="value">The event's data.</param>
    /// <param name="type">How it is written.</param>
    /// <param name="name">The event's name; OpenAI's have none.</param>
    protected void WriteEvent<T>(T value, JsonTypeInfo<T> type, ReadOnlySpan<byte> name = default)
    {
        if (!name.IsEmpty)
        {
            _body.Write("event: "u8);
            _body.Write(name);
            _body.Write("\n"u8);
        }
        _body.Write("data: "u8);
        _json.Reset();
        JsonSerializer.Serialize(_json, value, type);
        _json.Flush();
        _body.Write("\n\n"u8);
    }

    private async Task WriteAllAsync(TextRun run, CancellationToken cancellationToken)
    {
        var deltas = run.Deltas;
        while (await WaitAsync(run, cancellationToken))
        {
            Begin(run);
            while (deltas.TryRead(out var delta))
            {
                Write(delta);
            }
            await _body.FlushAsync(cancellationToken);
        }
        Begin(run);
        End(run);
        await _body.FlushAsync(cancellationToken);
    }

    /// <summary>Waits for more, with a sign of life for each interval of silence.</summary>
    private async ValueTask<bool> WaitAsync(TextRun run, CancellationToken cancellationToken)
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
                Begin(run);
                Ping();
                await _body.FlushAsync(cancellationToken);
            }
        }
    }

    private void Begin(TextRun run)
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
        Start(run);
    }
}
