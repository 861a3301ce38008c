using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace TrainServe.Training.Distributed;

/// <summary>Adds tensors of a GPU over all processes by NCCL, where they lie, while libtorch goes on computing.</summary>
/// <remarks>
/// NCCL works in a stream of its own. An event lets that stream wait for what libtorch had begun when a sum is begun, and another lets libtorch's stream wait for the sums at their end:
/// the processor waits for neither. libtorch's memory needs no further care, since what is freed behind <see cref="Complete"/> is used again behind it.
/// </remarks>
internal sealed unsafe partial class NcclSums : IDisposable
{
    private readonly NcclLibrary _nccl;
    private readonly CudaDriver _cuda;
    private readonly nint _context, _stream, _marker;
    private readonly Device _device;
    private nint _communicator;
    private bool _isBegun;
    private ExceptionDispatchInfo? _failure;

    /// <param name="nccl">Loaded.</param>
    /// <param name="cuda">Loaded.</param>
    /// <param name="processes">All of them come here together.</param>
    /// <param name="device">Whose tensors are added.</param>
    /// <param name="number">The GPU's, in this process.</param>
    /// <exception cref="ExternalException">NCCL or CUDA refuse; the message says why.</exception>
    public NcclSums(NcclLibrary nccl, CudaDriver cuda, IProcessGroup processes, Device device, int number)
    {
        (_nccl, _cuda, _device, _context) = (nccl, cuda, device, cuda.Context(number));
        Span<byte> id = stackalloc byte[NcclLibrary.UniqueIdBytes];
        using var entered = cuda.Enter(_context);
        if (processes.IsFirst)
        {
            nccl.NewUniqueId(id);
        }
        processes.Broadcast(id);
        _communicator = nccl.Join(id, processes.Size);
        (_stream, _marker) = (cuda.NewStream(), cuda.NewEvent());
    }

    /// <summary>Whether a tensor can be added where it lies.</summary>
    public bool Takes(Tensor tensor) => tensor.device.type == _device.type && tensor.device.index == _device.index && NcclLibrary.Adds(tensor.dtype) && tensor.is_contiguous();

    /// <summary>Begins to add. The tensors stay as they are until <see cref="Complete"/>.</summary>
    /// <param name="tensors">Of which each is taken; in the same order in all processes.</param>
    /// <remarks>Is called during a backward pass, through which no exception can go: what fails is told by <see cref="Complete"/>.</remarks>
    public void Begin(IReadOnlyList<Tensor> tensors)
    {
        if (_failure is not null)
        {
            return;
        }
        try
        {
            using var entered = _cuda.Enter(_context);
            _cuda.Order(waiting: _stream, first: CudaDriver.DefaultStream, _marker);
            _isBegun = true;
            _nccl.BeginGroup();
            foreach (var tensor in tensors)
            {
                _nccl.Sum(Pointer(tensor), tensor.numel(), tensor.dtype, _communicator, _stream);
            }
            _nccl.EndGroup(_communicator);
        }
        catch (ExternalException error)
        {
            _failure = ExceptionDispatchInfo.Capture(error);
        }
    }

    /// <summary>Lets all that libtorch does from now on find the sums.</summary>
    /// <exception cref="ExternalException">A sum failed; the message says why.</exception>
    public void Complete()
    {
        try
        {
            _failure?.Throw();
            if (_isBegun)
            {
                using var entered = _cuda.Enter(_context);
                _cuda.Order(waiting: CudaDriver.DefaultStream, first: _stream, _marker);
                _nccl.CheckBehind(_communicator);
            }
            _isBegun = false;
        }
        catch (ExternalException)
        {
            Abort();
            throw;
        }
    }

    /// <summary>Leaves the group together with the others.</summary>
    public void Dispose()
    {
        if (_communicator == 0)
        {
            return;
        }
        using var entered = _cuda.Enter(_context);
        _nccl.Leave(_communicator);
        _communicator = 0;
        _cuda.Free(_stream, _marker);
    }

    private void Abort()
    {
        if (_communicator != 0)
        {
            using var entered = _cuda.Enter(_context);
            _nccl.Abort(_communicator);
            _communicator = 0;
        }
    }

    private static void* Pointer(Tensor tensor)
    {
        void* place;
        return PointerOf(tensor.Handle, &place) == 0 ? place : throw new ExternalException("libtorch does not tell where a gradient lies.");
    }

    // libtorch's stable C interface (torch/csrc/inductor/aoti_torch/c/shim.h): TorchSharp tells addresses in the processor's memory only.
    [LibraryImport("torch_cpu", EntryPoint = "aoti_torch_get_data_ptr")]
    private static partial int PointerOf(nint tensor, void** place);
}
