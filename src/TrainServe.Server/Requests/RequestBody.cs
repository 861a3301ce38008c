using System.Buffers;
using System.Net.Http.Headers;

namespace TrainServe.Server.Requests;

/// <summary>The bytes of a JSON body, of bounded size.</summary>
internal static class RequestBody
{
    /// <exception cref="InvalidRequestException">The body is of another type, is compressed, or is too large.</exception>
    /// <exception cref="BadHttpRequestException">The body is not valid HTTP, or came too slowly.</exception>
    public static async Task<ReadOnlyMemory<byte>> ReadAsync(HttpRequest request, int mostBytes, CancellationToken cancellationToken)
    {
        RequireJson(request);
        if (request.ContentLength > mostBytes)
        {
            throw TooLarge(mostBytes);
        }
        // A length that is only announced gets no memory yet.
        var body = new ArrayBufferWriter<byte>((int)Math.Clamp(request.ContentLength ?? 4096, 256, 65536));
        while (true)
        {
            var read = await request.BodyReader.ReadAsync(cancellationToken);
            foreach (var segment in read.Buffer)
            {
                body.Write(segment.Span);
            }
            request.BodyReader.AdvanceTo(read.Buffer.End);
            if (body.WrittenCount > mostBytes)
            {
                throw TooLarge(mostBytes);
            }
            if (read.IsCompleted)
            {
                return body.WrittenMemory;
            }
        }
    }

    private static void RequireJson(HttpRequest request)
    {
        string encoding = request.Headers.ContentEncoding.ToString();
        if (encoding.Length > 0 && !encoding.Equals("identity", StringComparison.OrdinalIgnoreCase))
        {
            throw new InvalidRequestException("Unsupported content encoding: the body must not be compressed.", status: StatusCodes.Status415UnsupportedMediaType);
        }
        if (!MediaTypeHeaderValue.TryParse(request.ContentType, out var type)
            || !string.Equals(type.MediaType, "application/json", StringComparison.OrdinalIgnoreCase)
            || (type.CharSet is { } charset && !charset.Trim('"').Equals("utf-8", StringComparison.OrdinalIgnoreCase)))
        {
            throw new InvalidRequestException("Unsupported media type: the body must be application/json in UTF-8.", status: StatusCodes.Status415UnsupportedMediaType);
        }
    }

    private static InvalidRequestException TooLarge(int mostBytes) =>
        new($"The request body is too large. Expected at most {mostBytes} bytes.", status: StatusCodes.Status413PayloadTooLarge);
}
