using System.Globalization;
using System.Runtime.InteropServices;

namespace TrainServe.Training.Distributed;

/// <summary>The processes that one mpirun started.</summary>
/// <remarks>A process that dies takes the job with it: mpirun ends the others, which wait for it in a call.</remarks>
public sealed class MpiProcessGroup : IProcessGroup
{
    // Sums of gradients are begun in pieces: ten of 4 MB took 8 ms where one of 40 MB took 19.
    private const int Piece = 1 << 20;
    private readonly MpiLibrary _mpi = new();
    private readonly List<nint> _requests = [];

    private MpiProcessGroup(int sizeHere, int rankHere)
    {
        _mpi.Begin();
        (Rank, Size, SizeHere, RankHere) = (_mpi.Rank, _mpi.Size, sizeHere, rankHere);
    }

    /// <summary>The group that mpirun made, or this process alone where it was started without, or as the only one.</summary>
    /// <exception cref="DllNotFoundException">mpirun started several processes, but its library cannot be loaded.</exception>
    public static IProcessGroup Join() => Variable("SIZE") is { } size and > 1 ? new MpiProcessGroup(Variable("LOCAL_SIZE") ?? size, Variable("LOCAL_RANK") ?? 0) : SingleProcess.Instance;

    /// <summary>This process's number before it has joined: 0 where there is no mpirun.</summary>
    public static int RankBefore => Variable("RANK") ?? 0;

    /// <inheritdoc/>
    public int Rank { get; }

    /// <inheritdoc/>
    public int Size { get; }

    /// <inheritdoc/>
    public int SizeHere { get; }

    /// <inheritdoc/>
    public int RankHere { get; }

    /// <inheritdoc/>
    public void Sum(Span<double> values) => _mpi.Sum(values);

    /// <inheritdoc/>
    public void Max(Span<double> values) => _mpi.Max(values);

    /// <inheritdoc/>
    public void Broadcast(Span<byte> values, int from = 0) => _mpi.Broadcast(values, from);

    /// <inheritdoc/>
    public void BeginSum(nint singles, int count)
    {
        for (int from = 0; from < count; from += Piece)
        {
            _requests.Add(_mpi.BeginSum(singles + from * sizeof(float), Math.Min(Piece, count - from)));
        }
        _mpi.Progress(CollectionsMarshal.AsSpan(_requests));
    }

    /// <inheritdoc/>
    public void CompleteSums()
    {
        _mpi.Complete(CollectionsMarshal.AsSpan(_requests));
        _requests.Clear();
    }

    /// <inheritdoc/>
    public void Wait() => _mpi.Wait();

    /// <inheritdoc/>
    public void Leave() => _mpi.End();

    // Set by mpirun.
    private static int? Variable(string name) =>
        int.TryParse(Environment.GetEnvironmentVariable("OMPI_COMM_WORLD_" + name), NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : null;
}
