using System.Runtime.InteropServices;

namespace TrainServe.Inference.Execution;

/// <summary>The C library's heap.</summary>
internal static partial class NativeHeap
{
    /// <summary>Gives memory that was freed back to the system. ONNX Runtime reads weights, packs them anew and frees the first copy, which the heap would keep.</summary>
    /// <remarks>On glibc only; other C libraries do without.</remarks>
    public static void Trim()
    {
        if (!OperatingSystem.IsLinux())
        {
            return;
        }
        try
        {
            _ = MallocTrim(0);
        }
        catch (EntryPointNotFoundException)
        {
            // musl has no such function.
        }
    }

    [LibraryImport("libc", EntryPoint = "malloc_trim")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int MallocTrim(nuint keep);
}
