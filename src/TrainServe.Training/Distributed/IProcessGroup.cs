namespace TrainServe.Training.Distributed;

/// <summary>The processes that train one model together. Every one of them makes the same calls in the same order; each call waits for the others.</summary>
public interface IProcessGroup
{
    /// <summary>This process's number, from 0.</summary>
    int Rank { get; }

    /// <summary>How many there are.</summary>
    int Size { get; }

    /// <summary>How many of them run on this machine.</summary>
    int SizeHere { get; }

    /// <summary>This process's number among those on its machine, from 0.</summary>
    int RankHere { get; }

    /// <summary>Adds each value over all processes; every one gets the sums, the same to the last bit.</summary>
    void Sum(Span<double> values);

    /// <summary>Takes the largest of each value over all processes.</summary>
    void Max(Span<double> values);

    /// <summary>Copies bytes of one process to all others.</summary>
    /// <param name="values">Sent, or filled; as many in all processes.</param>
    /// <param name="from">The process that has them.</param>
    void Broadcast(Span<byte> values, int from = 0);

    /// <summary>What adds tensors that lie on this process's GPU; null where there is nothing that does.</summary>
    internal NcclSums? OnGpu => null;

    /// <summary>Begins to add single-precision numbers in place over all processes. They are neither read nor written until <see cref="CompleteSums"/>.</summary>
    /// <param name="singles">Where they begin.</param>
    /// <param name="count">How many.</param>
    void BeginSum(nint singles, int count);

    /// <summary>Waits for every sum that was begun.</summary>
    void CompleteSums();

    /// <summary>Waits until all processes are here.</summary>
    void Wait();

    /// <summary>Ends the group when the work is done; waits for the others to do the same. Not called after a failure: they would be waited for in vain.</summary>
    void Leave();
}

/// <summary>What is asked of a group in more than one place.</summary>
public static class ProcessGroupExtensions
{
    extension(IProcessGroup processes)
    {
        /// <summary>Whether this process speaks for all: it alone prints and writes.</summary>
        public bool IsFirst => processes.Rank == 0;

        /// <summary>Whether it holds for at least one process.</summary>
        public bool Any(bool holds)
        {
            Span<double> value = [holds ? 1 : 0];
            processes.Max(value);
            return value[0] > 0;
        }

        /// <summary>The sum of a value over all processes.</summary>
        public double SumOf(double value)
        {
            Span<double> one = [value];
            processes.Sum(one);
            return one[0];
        }

        /// <summary>Every Size-th of some things, beginning with this process's: dealt as cards are, so that things in order of their size are shared evenly.</summary>
        public IEnumerable<T> Dealt<T>(IEnumerable<T> all) => processes.Size == 1 ? all : all.Where((_, index) => index % processes.Size == processes.Rank);

        /// <summary>Stops all processes when one of them was asked to.</summary>
        /// <exception cref="OperationCanceledException">One was.</exception>
        public void ThrowIfStopped(CancellationToken stop)
        {
            if (processes.Any(stop.IsCancellationRequested))
            {
                throw new OperationCanceledException(stop);
            }
        }
    }
}
