using System.Runtime.InteropServices;
using TorchSharp;

namespace TrainServe.Model.Kernels;

/// <summary>Runs a kernel over chunks of rows on libtorch's own OpenMP threads, so that a second pool does not compete with them.</summary>
/// <remarks>A thread takes the next chunk when it is done with one. A chunk's result must not depend on the thread, so that the last bits do not either.</remarks>
internal static unsafe class RowParallel
{
    // void GOMP_parallel(void (*fn)(void*), void* data, unsigned num_threads, unsigned flags); zero where libtorch brings no such library.
    private static readonly delegate* unmanaged<delegate* unmanaged<void*, void>, void*, uint, uint, void> Fork =
        (delegate* unmanaged<delegate* unmanaged<void*, void>, void*, uint, uint, void>)FindFork();

    /// <param name="rows">How many.</param>
    /// <param name="chunk">Rows that are taken at once.</param>
    /// <param name="body">Arguments, first row, row behind the last. It must not throw.</param>
    /// <param name="arguments">Passed on.</param>
    public static void For(int rows, int chunk, delegate*<void*, int, int, void> body, void* arguments)
    {
        var job = new Job { Body = body, Arguments = arguments, Rows = rows, Chunk = chunk };
        int threads = Math.Min(torch.get_num_threads(), (rows + chunk - 1) / chunk);
        if (threads <= 1)
        {
            Work(&job);
        }
        else if (Fork != null)
        {
            Fork(&Enter, &job, (uint)threads, 0);
        }
        else
        {
            nint shared = (nint)(&job);
            Parallel.For(0, threads, _ => Work((Job*)shared));
        }
    }

    [UnmanagedCallersOnly]
    private static void Enter(void* job) => Work((Job*)job);

    private static void Work(Job* job)
    {
        while (true)
        {
            int from = Interlocked.Add(ref job->Next, job->Chunk) - job->Chunk;
            if (from >= job->Rows)
            {
                return;
            }
            job->Body(job->Arguments, from, Math.Min(from + job->Chunk, job->Rows));
        }
    }

    private static nint FindFork()
    {
        if (!OperatingSystem.IsLinux())
        {
            return 0;
        }
        foreach (string path in Directory.EnumerateFiles(AppContext.BaseDirectory, "libgomp*.so*"))
        {
            if (NativeLibrary.TryLoad(path, out nint library) && NativeLibrary.TryGetExport(library, "GOMP_parallel", out nint entry))
            {
                return entry;
            }
        }
        return 0;
    }

    private struct Job
    {
        public delegate*<void*, int, int, void> Body;
        public void* Arguments;
        public int Rows, Chunk, Next;
    }
}
