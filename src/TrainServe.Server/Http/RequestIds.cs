namespace TrainServe.Server.Http;

/// <summary>Every answer carries <c>x-request-id</c>, the name under which the logs speak of it: the caller's own if it is a plain one, or a new one.</summary>
internal sealed class RequestIds(RequestDelegate next)
{
    private const string Header = "x-request-id", AnthropicHeader = "request-id";
    private const int MostLength = 128;

    public Task InvokeAsync(HttpContext context)
    {
        string given = context.Request.Headers[Header].ToString();
        string id = IsPlain(given) ? given : $"req_{Guid.NewGuid():N}";
        context.TraceIdentifier = id;
        // At the start of the answer, because an error clears the headers that were set before it.
        context.Response.OnStarting(() =>
        {
            context.Response.Headers[Header] = id;
            context.Response.Headers[AnthropicHeader] = id;
            return Task.CompletedTask;
        });
        return next(context);
    }

    private static bool IsPlain(string id) => id.Length is > 0 and <= MostLength && id.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '_' or '.');
}
