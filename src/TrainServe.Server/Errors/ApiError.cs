using System.Globalization;
using Microsoft.AspNetCore.WebUtilities;
using TrainServe.Feedback;
using TrainServe.Inference;
using TrainServe.Server.Contracts;

namespace TrainServe.Server.Errors;

/// <summary>What a failure becomes on the wire. This is the only place that knows.</summary>
/// <param name="RetryAfter">When the caller may try again; null where that is of no use.</param>
internal sealed record ApiError(int Status, ErrorDetail Detail, TimeSpan? RetryAfter = null)
{
    private const int AnthropicOverloaded = 529;
    private const string InvalidRequest = "invalid_request_error", ServerFault = "server_error";
    private static readonly TimeSpan QueueRetry = TimeSpan.FromSeconds(1), DrainRetry = TimeSpan.FromSeconds(5), ReloadRetry = TimeSpan.FromSeconds(2), StoreRetry = TimeSpan.FromSeconds(5);

    /// <summary>Whether the operator has to know, and not only the caller.</summary>
    public bool IsFault => Status == StatusCodes.Status500InternalServerError;

    public static ApiError Of(Exception exception) => exception switch
    {
        InvalidRequestException error => new(error.Status, new ErrorDetail(error.Message, TypeOf(error.Status), error.Param, error.Code)),
        RateLimitException error => new(StatusCodes.Status429TooManyRequests, new ErrorDetail(error.Message, "rate_limit_error", null, "rate_limit_exceeded"), error.RetryAfter),
        PromptTooLongException => new(StatusCodes.Status400BadRequest,
            new ErrorDetail("The messages are longer than this model's context. Please reduce the length of the messages.", InvalidRequest, "messages", "context_length_exceeded")),
        QueueFullException => Unavailable("The server is busy: its queue is full. Please try again.", QueueRetry, "server_overloaded"),
        EngineFaultException => Unavailable("The model failed and is being loaded anew. Please try again.", ReloadRetry, "model_unavailable"),
        FeedbackStoreException => Unavailable("What is kept of answers cannot be reached now. Please try again.", StoreRetry, "feedback_unavailable"),
        ServerUnavailableException error => Unavailable(error.Message, error.RetryAfter, error.Code),
        OperationCanceledException => Unavailable("The server is shutting down. Please try again.", DrainRetry, null), // who left reads no answer
        BadHttpRequestException error => OfStatus(error.StatusCode),
        _ => new(StatusCodes.Status500InternalServerError,
            new ErrorDetail("The server had an error while processing your request. Please try again.", ServerFault, null, null)),
    };

    /// <summary>An answer for a status that the framework chose without a body.</summary>
    public static ApiError OfStatus(int status, string method = "", string path = "")
    {
        string message = status switch
        {
            StatusCodes.Status400BadRequest => "The request is not valid HTTP, or names a host that this server does not answer for.",
            StatusCodes.Status404NotFound => $"Invalid URL ({method} {path})",
            StatusCodes.Status405MethodNotAllowed => $"Not allowed to {method} on {path}.",
            StatusCodes.Status408RequestTimeout => "The request came too slowly.",
            StatusCodes.Status413PayloadTooLarge => "The request body is too large.",
            StatusCodes.Status415UnsupportedMediaType => "Unsupported media type: the body must be application/json in UTF-8.",
            _ => $"{ReasonPhrases.GetReasonPhrase(status)}.",
        };
        return new ApiError(status, new ErrorDetail(message, status is >= 500 and not StatusCodes.Status505HttpVersionNotsupported ? ServerFault : InvalidRequest, null, null));
    }

    /// <summary>Writes it as the whole answer, in the form that the route's clients expect.</summary>
    public Task WriteAsync(HttpContext context)
    {
        bool anthropic = context.Request.Path.StartsWithSegments("/v1/messages", StringComparison.Ordinal);
        var response = context.Response;
        response.StatusCode = anthropic && Status == StatusCodes.Status503ServiceUnavailable ? AnthropicOverloaded : Status;
        if (Status == StatusCodes.Status401Unauthorized)
        {
            response.Headers.WWWAuthenticate = "Bearer";
        }
        if (RetryAfter is { } wait)
        {
            response.Headers["retry-after-ms"] = Math.Max(1, (long)Math.Ceiling(wait.TotalMilliseconds)).ToString(CultureInfo.InvariantCulture);
            response.Headers.RetryAfter = Math.Max(1, (int)Math.Ceiling(wait.TotalSeconds)).ToString(CultureInfo.InvariantCulture);
        }
        return anthropic
            ? response.WriteAsJsonAsync(ForAnthropic(context.TraceIdentifier), WireJson.Wire.AnthropicError, "application/json", context.RequestAborted)
            : response.WriteAsJsonAsync(new ErrorResponse(Detail), WireJson.Wire.ErrorResponse, "application/json", context.RequestAborted);
    }

    /// <summary>The same failure in Anthropic's words.</summary>
    public AnthropicError ForAnthropic(string? requestId) => new(new AnthropicErrorDetail(Status switch
    {
        StatusCodes.Status401Unauthorized => "authentication_error",
        StatusCodes.Status403Forbidden => "permission_error",
        StatusCodes.Status404NotFound => "not_found_error",
        StatusCodes.Status413PayloadTooLarge => "request_too_large",
        StatusCodes.Status429TooManyRequests => "rate_limit_error",
        StatusCodes.Status503ServiceUnavailable => "overloaded_error",
        StatusCodes.Status408RequestTimeout or StatusCodes.Status504GatewayTimeout => "timeout_error",
        < StatusCodes.Status500InternalServerError => InvalidRequest,
        _ => "api_error",
    }, Detail.Message), requestId);

    private static string TypeOf(int status) => status switch
    {
        StatusCodes.Status401Unauthorized => "authentication_error",
        StatusCodes.Status403Forbidden => "permission_error",
        _ => InvalidRequest,
    };

    private static ApiError Unavailable(string message, TimeSpan retryAfter, string? code) =>
        new(StatusCodes.Status503ServiceUnavailable, new ErrorDetail(message, ServerFault, null, code), retryAfter);
}
