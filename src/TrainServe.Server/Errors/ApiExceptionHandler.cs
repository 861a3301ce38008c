using Microsoft.AspNetCore.Diagnostics;
using TrainServe.Feedback;

namespace TrainServe.Server.Errors;

/// <summary>Turns whatever a route throws before its first byte into the envelope.</summary>
internal sealed partial class ApiExceptionHandler(ILogger<ApiExceptionHandler> log) : IExceptionHandler
{
    public async ValueTask<bool> TryHandleAsync(HttpContext httpContext, Exception exception, CancellationToken cancellationToken)
    {
        var error = ApiError.Of(exception);
        if (error.IsFault || exception is FeedbackStoreException)
        {
            LogFault(exception, httpContext.TraceIdentifier);
        }
        await error.WriteAsync(httpContext);
        return true;
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "Request {RequestId} failed.")]
    private partial void LogFault(Exception exception, string requestId);
}
