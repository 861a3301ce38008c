namespace TrainServe.Server.Errors;

/// <summary>The request is right, but this server cannot take it now; the caller may try again.</summary>
internal sealed class ServerUnavailableException(string message, TimeSpan retryAfter, string? code = null) : Exception(message)
{
    public TimeSpan RetryAfter { get; } = retryAfter;
    public string? Code { get; } = code;
}
