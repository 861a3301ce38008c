using System.Runtime.InteropServices;

namespace TrainServe.Training.Loops;

/// <summary>Tells when memory was what a step lacked.</summary>
internal static class MemoryShortage
{
    /// <summary>Whether it is what an exception is about; libtorch's allocators report it as text.</summary>
    public static bool IsCause(Exception error) => error is OutOfMemoryException
        || (error is ExternalException && (error.Message.Contains("allocate memory", StringComparison.OrdinalIgnoreCase) || error.Message.Contains("out of memory", StringComparison.OrdinalIgnoreCase)));
}
