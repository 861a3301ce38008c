using System.Text;
using TorchSharp;
using static TorchSharp.torch;

namespace TrainServe.Training.Distributed;

/// <summary>Processes whose models live on GPUs: what lies there is added by NCCL, everything else as before.</summary>
/// <remarks>
/// The rule: NCCL adds where every process can load it and has a GPU of its own. Otherwise all of them add through the processor's memory, which is slower, and a line says why.
/// What fails later ends the job: processes that go different ways would wait for each other.
/// </remarks>
public sealed class NcclProcessGroup : IProcessGroup
{
    private const int LongestReason = 2048;
    private readonly IProcessGroup _processes;
    private readonly NcclSums _sums;

    private NcclProcessGroup(IProcessGroup processes, NcclSums sums) => (_processes, _sums) = (processes, sums);

    /// <inheritdoc/>
    public int Rank => _processes.Rank;

    /// <inheritdoc/>
    public int Size => _processes.Size;

    /// <inheritdoc/>
    public int SizeHere => _processes.SizeHere;

    /// <inheritdoc/>
    public int RankHere => _processes.RankHere;

    NcclSums? IProcessGroup.OnGpu => _sums;

    /// <summary>Puts NCCL under a group whose models live on GPUs.</summary>
    /// <param name="processes">All of them come here together.</param>
    /// <param name="device">Of this process's model.</param>
    /// <returns>The group to use from now on, and a line that says what adds gradients; the group as it was, and none, where there is nothing to add on a GPU.</returns>
    /// <exception cref="System.Runtime.InteropServices.ExternalException">NCCL is there and fails; the message says how.</exception>
    public static (IProcessGroup Group, string? Note) Over(IProcessGroup processes, Device device) => processes.Size == 1 || device.type != DeviceType.CUDA ? (processes, null)
        : Over(processes, device, device.index, GpuLibraries.Chosen(Environment.GetEnvironmentVariable(GpuLibraries.Variable)));

    /// <param name="processes">All of them come here together.</param>
    /// <param name="device">Whose tensors NCCL adds.</param>
    /// <param name="number">The GPU's, in this process.</param>
    /// <param name="libraries">Where they are looked for.</param>
    internal static (IProcessGroup Group, string Note) Over(IProcessGroup processes, Device device, int number, GpuLibraries libraries)
    {
        var (nccl, cuda, reason) = libraries.Load(processes.Rank);
        string? obstacle = Lacking(processes, reason) ?? Shared(processes, cuda!, number);
        return obstacle is null ? (new NcclProcessGroup(processes, new NcclSums(nccl!, cuda!, processes, device, number)), $"Gradients are added on the GPUs by NCCL {nccl!.Version}.")
            : (processes, $"Warning: {obstacle}; gradients are added through the processor's memory, which is slower.");
    }

    /// <inheritdoc/>
    public void Sum(Span<double> values) => _processes.Sum(values);

    /// <inheritdoc/>
    public void Max(Span<double> values) => _processes.Max(values);

    /// <inheritdoc/>
    public void Broadcast(Span<byte> values, int from = 0) => _processes.Broadcast(values, from);

    /// <inheritdoc/>
    public void BeginSum(nint singles, int count) => _processes.BeginSum(singles, count);

    /// <inheritdoc/>
    public void CompleteSums() => _processes.CompleteSums();

    /// <inheritdoc/>
    public void Wait() => _processes.Wait();

    /// <inheritdoc/>
    public void Leave()
    {
        _sums.Dispose();
        _processes.Leave();
    }

    // The same in all processes: what the first that lacks something says.
    private static string? Lacking(IProcessGroup processes, string reason)
    {
        Span<double> lacking = [reason.Length > 0 ? processes.Size - processes.Rank : 0];
        processes.Max(lacking);
        if (lacking[0] == 0)
        {
            return null;
        }
        int speaker = processes.Size - (int)lacking[0];
        Span<byte> text = stackalloc byte[LongestReason];
        text.Clear();
        Encoding.UTF8.GetBytes(reason.AsSpan(0, Math.Min(reason.Length, LongestReason / 4)), text);
        processes.Broadcast(text, speaker);
        return $"process {speaker} of {processes.Size} says that {Encoding.UTF8.GetString(text).TrimEnd('\0')}";
    }

    // NCCL refuses it, with an error that says less.
    private static string? Shared(IProcessGroup processes, CudaDriver cuda, int number)
    {
        byte[] identity = new byte[CudaDriver.IdentityBytes];
        cuda.Identify(number, identity);
        double[][] all = SharedRows.Complete(processes, [.. Enumerable.Range(0, processes.Size).Select(rank => rank == processes.Rank ? identity.Select(value => (double)value).ToArray() : null)]);
        for (int rank = 1; rank < all.Length; rank++)
        {
            int other = Array.FindIndex(all, row => row.SequenceEqual(all[rank]));
            if (other < rank)
            {
                return $"processes {other} and {rank} have the same GPU, which NCCL refuses (start one process a GPU, and let --device be cuda without a number)";
            }
        }
        return null;
    }
}
