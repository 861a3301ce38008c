using System.Net;
using System.Net.Sockets;

namespace TrainServe.Training.Data.Downloading;

/// <summary>A fault that may be gone at the next attempt.</summary>
internal sealed class PassingFaultException(string message, TimeSpan? retryAfter = null, Exception? inner = null) : IOException(message, inner)
{
    /// <summary>What the server asked for.</summary>
    public TimeSpan? RetryAfter => retryAfter;
}

/// <summary>Faults as sentences without a full stop.</summary>
internal static class DownloadFaults
{
    public static bool MayPass(HttpStatusCode status) => status is HttpStatusCode.RequestTimeout or HttpStatusCode.TooManyRequests || (int)status >= 500;

    public static string Of(string url, HttpStatusCode status) => status switch
    {
        HttpStatusCode.NotFound or HttpStatusCode.Gone => $"{url} does not exist on its server ({(int)status}); the catalogue's address may be out of date",
        HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden => $"{url} may not be read without signing in ({(int)status}); download it in a browser and put it in the output directory",
        HttpStatusCode.TooManyRequests => $"the server of {url} asks for fewer requests (429)",
        _ => $"{url} answers with status {(int)status}",
    };

    public static string Of(string url, HttpRequestException error) => error.HttpRequestError switch
    {
        HttpRequestError.NameResolutionError => $"the name of {new Uri(url).Host} cannot be resolved; is there a network connection, or a proxy to set in HTTPS_PROXY?",
        HttpRequestError.ConnectionError => $"{new Uri(url).Host} cannot be reached ({(error.InnerException is SocketException socket ? socket.SocketErrorCode.ToString() : error.Message.TrimEnd('.'))}); is there a network connection, or a proxy to set in HTTPS_PROXY?",
        HttpRequestError.SecureConnectionError => $"no secure connection to {new Uri(url).Host} can be made: {error.InnerException?.Message.TrimEnd('.') ?? error.Message.TrimEnd('.')}",
        _ => $"{url} cannot be read: {error.Message.TrimEnd('.')}",
    };
}
