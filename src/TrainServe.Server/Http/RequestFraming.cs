namespace TrainServe.Server.Http;

/// <summary>Refuses requests of unreasonable head, and those whose length is said in two ways, which two servers in a row may read differently (request smuggling).</summary>
internal sealed class RequestFraming(RequestDelegate next)
{
    public const int MostLineBytes = 8 << 10, MostHeaderBytes = 32 << 10, MostHeaders = 100;

    // Kestrel goes by Transfer-Encoding and keeps the other length under this name.
    private const string SetAside = "X-Content-Length";

    public Task InvokeAsync(HttpContext context)
    {
        var request = context.Request;
        if (request.Path.Value!.Length + (request.QueryString.Value?.Length ?? 0) > MostLineBytes)
        {
            throw new InvalidRequestException($"The URL is too long. Expected at most {MostLineBytes} bytes.", status: StatusCodes.Status414UriTooLong);
        }
        if (request.Headers.Count > MostHeaders || Length(request.Headers) > MostHeaderBytes)
        {
            throw new InvalidRequestException(
                $"The request headers are too large. Expected at most {MostHeaders} headers and {MostHeaderBytes} bytes.", status: StatusCodes.Status431RequestHeaderFieldsTooLarge);
        }
        if (request.Headers.TransferEncoding.Count > 0 && (request.ContentLength is not null || request.Headers.ContainsKey(SetAside)))
        {
            throw new InvalidRequestException("A request must not have both Transfer-Encoding and Content-Length.");
        }
        return next(context);
    }

    private static int Length(IHeaderDictionary headers)
    {
        int length = 0;
        foreach (var (name, values) in headers)
        {
            length += name.Length;
            foreach (string? value in values)
            {
                length += value?.Length ?? 0;
            }
        }
        return length;
    }
}
