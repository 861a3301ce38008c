using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace TrainServe.Training.Tests.Data.Downloading;

/// <summary>What the server does with one request.</summary>
internal sealed record Behaviour
{
    public int Status { get; init; } = 200;
    public string? RetryAfter { get; init; }

    /// <summary>After so many bytes of the body the connection is cut; null sends all.</summary>
    public int? CutAfter { get; init; }
    public bool IgnoresRange { get; init; }

    /// <summary>Sends so many bytes and then nothing, without closing.</summary>
    public int? StallAfter { get; init; }

    /// <summary>Instead of the file.</summary>
    public byte[]? Instead { get; init; }

    /// <summary>Leaves Content-Length out, so that only the hash shows a cut.</summary>
    public bool HidesLength { get; init; }
    public bool HidesValidator { get; init; }
}

/// <summary>A request that arrived.</summary>
internal sealed record ReceivedRequest(long? RangeFrom, string? IfRange);

/// <summary>A small HTTP server on loopback that serves one file, with faults on purpose: each request takes the next behaviour, and after the last all is well.</summary>
internal sealed class FaultyFileServer : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly ConcurrentQueue<Behaviour> _behaviours;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _loop;

    public FaultyFileServer(byte[] content, params Behaviour[] behaviours)
    {
        (Content, _behaviours) = (content, new ConcurrentQueue<Behaviour>(behaviours));
        _listener.Start();
        _loop = ServeAsync();
    }

    public byte[] Content { get; set; }
    public string ETag { get; set; } = "\"v1\"";
    public ConcurrentQueue<ReceivedRequest> Requests { get; } = new();
    public string Url => string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}/file");

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        await _loop;
        _stop.Dispose();
    }

    private async Task ServeAsync()
    {
        var open = new List<Task>();
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                open.Add(AnswerAsync(await _listener.AcceptTcpClientAsync(_stop.Token)));
            }
            catch (Exception error) when (error is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                break;
            }
        }
        await Task.WhenAll(open);
    }

    private async Task AnswerAsync(TcpClient client)
    {
        using (client)
        {
            try
            {
                var stream = client.GetStream();
                var request = await ReadRequestAsync(stream);
                Requests.Enqueue(request);
                await AnswerAsync(stream, request, _behaviours.TryDequeue(out var next) ? next : new Behaviour());
            }
            catch (Exception error) when (error is IOException or OperationCanceledException or SocketException)
            {
                // The client went away.
            }
        }
    }

    private async Task AnswerAsync(NetworkStream stream, ReceivedRequest request, Behaviour behaviour)
    {
        byte[] whole = behaviour.Instead ?? Content;
        var head = new StringBuilder();
        byte[] body;
        bool isPart = request.RangeFrom is not null && !behaviour.IgnoresRange && behaviour.Status == 200 && (request.IfRange is null || request.IfRange == ETag);
        if (isPart && request.RangeFrom >= whole.Length)
        {
            body = [];
            head.Append(CultureInfo.InvariantCulture, $"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */{whole.Length}\r\n");
        }
        else if (isPart)
        {
            body = whole[(int)request.RangeFrom!.Value..];
            head.Append(CultureInfo.InvariantCulture, $"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {request.RangeFrom}-{whole.Length - 1}/{whole.Length}\r\n");
        }
        else
        {
            body = behaviour.Status == 200 ? whole : [];
            head.Append(CultureInfo.InvariantCulture, $"HTTP/1.1 {behaviour.Status} Status\r\n");
        }
        if (behaviour.RetryAfter is { } after)
        {
            head.Append(CultureInfo.InvariantCulture, $"Retry-After: {after}\r\n");
        }
        if (!behaviour.HidesValidator)
        {
            head.Append(CultureInfo.InvariantCulture, $"ETag: {ETag}\r\n");
        }
        if (!behaviour.HidesLength)
        {
            head.Append(CultureInfo.InvariantCulture, $"Content-Length: {body.Length}\r\n");
        }
        head.Append("Connection: close\r\n\r\n");
        await stream.WriteAsync(Encoding.ASCII.GetBytes(head.ToString()));
        await stream.WriteAsync(body.AsMemory(0, Math.Min(body.Length, behaviour.CutAfter ?? behaviour.StallAfter ?? body.Length)));
        await stream.FlushAsync();
        if (behaviour.StallAfter is not null)
        {
            await Task.Delay(Timeout.Infinite, _stop.Token);
        }
    }

    private static async Task<ReceivedRequest> ReadRequestAsync(NetworkStream stream)
    {
        using var reader = new StreamReader(stream, Encoding.ASCII, leaveOpen: true);
        long? from = null;
        string? ifRange = null;
        while (await reader.ReadLineAsync() is { Length: > 0 } line)
        {
            if (line.StartsWith("Range: bytes=", StringComparison.OrdinalIgnoreCase))
            {
                from = long.Parse(line["Range: bytes=".Length..].TrimEnd('-'), CultureInfo.InvariantCulture);
            }
            else if (line.StartsWith("If-Range: ", StringComparison.OrdinalIgnoreCase))
            {
                ifRange = line["If-Range: ".Length..];
            }
        }
        return new ReceivedRequest(from, ifRange);
    }
}
