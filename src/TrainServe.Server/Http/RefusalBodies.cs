using System.Buffers;
using System.Globalization;
using System.IO.Pipelines;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Connections;
using TrainServe.Server.Contracts;

namespace TrainServe.Server.Http;

/// <summary>Gives the envelope to what Kestrel itself refuses: a request that is not HTTP never reaches any middleware, and its 4xx has no body.</summary>
/// <remarks>Kestrel writes such an answer in one piece and then closes the connection, so the piece can be replaced before it is sent. All other output passes untouched.</remarks>
internal static class RefusalBodies
{
    public static ConnectionDelegate Use(ConnectionDelegate next) => async connection =>
    {
        var transport = connection.Transport;
        connection.Transport = new Duplex(transport.Input, new Writer(transport.Output));
        try
        {
            await next(connection);
        }
        finally
        {
            connection.Transport = transport;
        }
    };

    /// <summary>The answer to send instead of one that is empty; null for every other output.</summary>
    internal static byte[]? Replace(ReadOnlySpan<byte> output)
    {
        if (!output.StartsWith("HTTP/1.1 "u8) || output.Length < 12 || output[9] is not ((byte)'4' or (byte)'5') || output.Length > 512 || !output.EndsWith("\r\n\r\n"u8)
            || output.IndexOf("\r\nContent-Length: 0\r\n"u8) < 0 || output.IndexOf("\r\nConnection: close\r\n"u8) < 0 || output.IndexOf("\r\nx-request-id: "u8) >= 0)
        {
            return null;
        }
        string head = Encoding.ASCII.GetString(output);
        int status = int.Parse(head.AsSpan("HTTP/1.1 ".Length, 3), CultureInfo.InvariantCulture);
        byte[] body = JsonSerializer.SerializeToUtf8Bytes(new ErrorResponse(ApiError.OfStatus(status).Detail), WireJson.Wire.ErrorResponse);
        head = head.Replace("\r\nContent-Length: 0\r\n", $"\r\nContent-Length: {body.Length}\r\nContent-Type: application/json\r\nx-request-id: req_{Guid.NewGuid():N}\r\n", StringComparison.Ordinal);
        return [.. Encoding.ASCII.GetBytes(head), .. body];
    }

    private sealed record Duplex(PipeReader Input, PipeWriter Output) : IDuplexPipe;

    private sealed class Writer(PipeWriter inner) : PipeWriter
    {
        private Memory<byte> _current;

        public override bool CanGetUnflushedBytes => inner.CanGetUnflushedBytes;
        public override long UnflushedBytes => inner.UnflushedBytes;

        public override Memory<byte> GetMemory(int sizeHint = 0) => _current = inner.GetMemory(sizeHint);

        public override Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

        public override void Advance(int bytes)
        {
            if (Replace(_current.Span[..bytes]) is { } answer && answer.Length <= _current.Length)
            {
                answer.CopyTo(_current.Span);
                bytes = answer.Length;
            }
            _current = _current[bytes..];
            inner.Advance(bytes);
        }

        public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default) => inner.FlushAsync(cancellationToken);
        public override void CancelPendingFlush() => inner.CancelPendingFlush();
        public override void Complete(Exception? exception = null) => inner.Complete(exception);
        public override ValueTask CompleteAsync(Exception? exception = null) => inner.CompleteAsync(exception);
    }
}
