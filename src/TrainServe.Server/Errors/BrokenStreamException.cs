namespace TrainServe.Server.Errors;

/// <summary>A stream that cannot go on. Kestrel sends what was written and then breaks the connection.</summary>
/// <remarks><see cref="HttpContext.Abort"/> would break it at once and lose the error event that was just written.</remarks>
internal sealed class BrokenStreamException(string answerId, Exception fault) : Exception($"The stream of {answerId} failed after its first byte.", fault);
