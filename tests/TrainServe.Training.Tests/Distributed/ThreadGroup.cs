using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using TorchSharp;
using TrainServe.Training.Distributed;

namespace TrainServe.Training.Tests.Distributed;

/// <summary>Threads in the place of processes.</summary>
internal sealed class ThreadGroup : IDisposable
{
    private readonly Barrier _barrier;
    private readonly CancellationTokenSource _failure = new();
    private readonly double[][] _values;
    private readonly float[][][] _sums;

    private ThreadGroup(int size) => (_barrier, _values, _sums) = (new Barrier(size), new double[size][], new float[size][][]);

    /// <summary>Does the same in so many threads together. What the first of them that fails throws, is thrown.</summary>
    public static T[] Run<T>(int size, Func<IProcessGroup, T> work)
    {
        using var group = new ThreadGroup(size);
        var results = new T[size];
        ExceptionDispatchInfo? failure = null;
        Thread[] threads = [.. Enumerable.Range(0, size).Select(rank => new Thread(() =>
        {
            try
            {
                torch.set_num_threads(1);
                results[rank] = work(new Member(group, rank, size));
            }
            catch (Exception error)
            {
                Interlocked.CompareExchange(ref failure, ExceptionDispatchInfo.Capture(error), null);
                // As mpirun ends a job.
                group._failure.Cancel();
            }
        }))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        failure?.Throw();
        return results;
    }

    public void Dispose()
    {
        _barrier.Dispose();
        _failure.Dispose();
    }

    private sealed class Member(ThreadGroup group, int rank, int size) : IProcessGroup
    {
        private readonly List<(nint At, int Count)> _begun = [];

        public int Rank => rank;
        public int Size => size;
        public int SizeHere => size;
        public int RankHere => rank;

        public void Sum(Span<double> values) => Reduce(values, (one, other) => one + other);

        public void Max(Span<double> values) => Reduce(values, Math.Max);

        public void Broadcast(Span<byte> values, int from = 0)
        {
            double[] all = [.. values.ToArray().Select(value => rank == from ? (double)value : 0)];
            Sum(all);
            for (int i = 0; i < all.Length; i++)
            {
                values[i] = (byte)all[i];
            }
        }

        public void BeginSum(nint singles, int count) => _begun.Add((singles, count));

        public void CompleteSums()
        {
            group._sums[rank] = [.. _begun.Select(part =>
            {
                float[] copy = new float[part.Count];
                Marshal.Copy(part.At, copy, 0, part.Count);
                return copy;
            })];
            Wait();
            for (int part = 0; part < _begun.Count; part++)
            {
                int place = part;
                Assert.All(group._sums, others => Assert.Equal(_begun[place].Count, others[place].Length));
                float[] sum = group._sums.Select(others => others[place]).Aggregate((one, other) => [.. one.Zip(other, (first, second) => first + second)]);
                Marshal.Copy(sum, 0, _begun[part].At, sum.Length);
            }
            _begun.Clear();
            Wait();
        }

        public void Wait() => group._barrier.SignalAndWait(group._failure.Token);

        public void Leave() => Wait();

        private void Reduce(Span<double> values, Func<double, double, double> combine)
        {
            group._values[rank] = values.ToArray();
            Wait();
            Assert.All(group._values, others => Assert.Equal(group._values[rank].Length, others.Length));
            for (int i = 0; i < values.Length; i++)
            {
                int place = i;
                values[i] = group._values.Select(others => others[place]).Aggregate(combine);
            }
            Wait();
        }
    }
}
