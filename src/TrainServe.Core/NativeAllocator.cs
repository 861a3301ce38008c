using System.Runtime.InteropServices;

namespace TrainServe.Core;

/// <summary>The C library's allocator, which libtorch takes the memory of its tensors from.</summary>
public static partial class NativeAllocator
{
    private const string Threshold = "MALLOC_MMAP_THRESHOLD_";

    /// <summary>From now on blocks of at least 256 KiB go back to the system when they are freed, instead of being kept for later. Nothing happens where the user has set
    /// <c>MALLOC_MMAP_THRESHOLD_</c>, or where the C library is not glibc.</summary>
    /// <remarks>glibc raises the size by itself to that of the largest block that was freed, up to 32 MiB; the heap is then full of gaps that the next block does not fit into.</remarks>
    public static void GiveBackLargeBlocks()
    {
        if (!OperatingSystem.IsLinux() || Environment.GetEnvironmentVariable(Threshold) is not null)
        {
            return;
        }
        const int mmapThreshold = -3;
        try
        {
            _ = SetOption(mmapThreshold, 256 << 10);
        }
        catch (EntryPointNotFoundException)
        {
            // musl has no such setting, and gives back by itself.
        }
    }

    [LibraryImport("libc", EntryPoint = "mallopt")]
    private static partial int SetOption(int option, int value);
}
