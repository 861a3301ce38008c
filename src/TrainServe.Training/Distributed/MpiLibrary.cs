using System.Runtime.InteropServices;
using TrainServe.Core;

namespace TrainServe.Training.Distributed;

/// <summary>Open MPI's C interface, as far as it is needed. Loaded only in a process that mpirun started.</summary>
/// <remarks>Open MPI's handles are the addresses of objects that the library exports; of 4.1 and 5 the same. An error ends the job, which is MPI's default, so that no call here returns one.</remarks>
internal sealed unsafe partial class MpiLibrary
{
    // <dlfcn.h>: bind at once, and let the library's plug-ins see its symbols.
    private const int BindNow = 2, VisibleToAll = 0x100;

    // <mpi.h>
    private const int ThreadsTakeTurns = 2;
    private const nint InPlace = 1, IgnoreStatus = 0;
    private readonly nint _library;
    private readonly nint _world, _double, _single, _byte, _sum, _max;
    private readonly delegate* unmanaged<nint, nint, int, nint, nint, nint, int> _reduceToAll;
    private readonly delegate* unmanaged<nint, nint, int, nint, nint, nint, nint*, int> _beginReduceToAll;
    private readonly delegate* unmanaged<int, nint*, nint, int> _waitForAll;
    private readonly delegate* unmanaged<int, nint*, int*, nint, int> _testAll;
    private readonly delegate* unmanaged<nint, int, nint, int, nint, int> _broadcast;
    private readonly delegate* unmanaged<nint, int> _barrier;

    /// <exception cref="DllNotFoundException">The library is not there, or is not Open MPI; the message says what to do.</exception>
    public MpiLibrary()
    {
        _library = Load();
        (_world, _double, _single, _byte) = (Symbol("ompi_mpi_comm_world"), Symbol("ompi_mpi_double"), Symbol("ompi_mpi_float"), Symbol("ompi_mpi_byte"));
        (_sum, _max) = (Symbol("ompi_mpi_op_sum"), Symbol("ompi_mpi_op_max"));
        _reduceToAll = (delegate* unmanaged<nint, nint, int, nint, nint, nint, int>)Symbol("MPI_Allreduce");
        _beginReduceToAll = (delegate* unmanaged<nint, nint, int, nint, nint, nint, nint*, int>)Symbol("MPI_Iallreduce");
        _waitForAll = (delegate* unmanaged<int, nint*, nint, int>)Symbol("MPI_Waitall");
        _testAll = (delegate* unmanaged<int, nint*, int*, nint, int>)Symbol("MPI_Testall");
        _broadcast = (delegate* unmanaged<nint, int, nint, int, nint, int>)Symbol("MPI_Bcast");
        _barrier = (delegate* unmanaged<nint, int>)Symbol("MPI_Barrier");
    }

    public void Begin()
    {
        // Signals of faults are the runtime's own business.
        NativeEnvironment.SetDefault("OMPI_MCA_opal_signal", "");
        int provided;
        _ = ((delegate* unmanaged<nint, nint, int, int*, int>)Symbol("MPI_Init_thread"))(0, 0, ThreadsTakeTurns, &provided);
    }

    /// <summary>Waits for all processes to come here; none may use the library afterwards.</summary>
    public void End() => _ = ((delegate* unmanaged<int>)Symbol("MPI_Finalize"))();

    public int Rank => Number("MPI_Comm_rank");
    public int Size => Number("MPI_Comm_size");

    public void Sum(Span<double> values) => Reduce(values, _sum);

    public void Max(Span<double> values) => Reduce(values, _max);

    public void Broadcast(Span<byte> values, int from)
    {
        fixed (byte* first = values)
        {
            _ = _broadcast((nint)first, values.Length, _byte, from, _world);
        }
    }

    /// <returns>A handle for <see cref="Complete"/>.</returns>
    public nint BeginSum(nint singles, int count)
    {
        nint request;
        _ = _beginReduceToAll(InPlace, singles, count, _single, _sum, _world, &request);
        return request;
    }

    /// <summary>Lets what was begun go on: the library works only while it is called.</summary>
    public void Progress(Span<nint> requests)
    {
        int areDone;
        fixed (nint* first = requests)
        {
            _ = _testAll(requests.Length, first, &areDone, IgnoreStatus);
        }
    }

    public void Complete(Span<nint> requests)
    {
        fixed (nint* first = requests)
        {
            _ = _waitForAll(requests.Length, first, IgnoreStatus);
        }
    }

    public void Wait() => _ = _barrier(_world);

    private void Reduce(Span<double> values, nint operation)
    {
        fixed (double* first = values)
        {
            _ = _reduceToAll(InPlace, (nint)first, values.Length, _double, operation, _world);
        }
    }

    private int Number(string function)
    {
        int value;
        _ = ((delegate* unmanaged<nint, int*, int>)Symbol(function))(_world, &value);
        return value;
    }

    private nint Symbol(string name) => NativeLibrary.TryGetExport(_library, name, out nint address) ? address
        : throw new DllNotFoundException($"The MPI library has no {name}, so that it is not Open MPI; install Open MPI (on Debian openmpi-bin), or start one process.");

    private static nint Load()
    {
        foreach (string name in (ReadOnlySpan<string>)["libmpi.so.40", "libmpi.so"])
        {
            nint library = Open(name, BindNow | VisibleToAll);
            if (library != 0)
            {
                return library;
            }
        }
        throw new DllNotFoundException("mpirun started this process, but Open MPI's library (libmpi.so.40) cannot be loaded; install it (on Debian openmpi-bin), or start one process.");
    }

    [LibraryImport("libc", EntryPoint = "dlopen", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint Open(string name, int flags);
}
