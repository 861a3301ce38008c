using System.Runtime.Intrinsics;

namespace TrainServe.Model.Kernels;

/// <summary>The residual stream's additions, with dropout of what is added.</summary>
internal static unsafe class ResidualKernel<T> where T : unmanaged, IStoredNumber<T>
{
    private const int Chunk = 1 << 10;

    /// <summary>sum = stream + dropout(branch).</summary>
    public static void Add(float* stream, T* branch, float* sum, int count, DropoutMask dropout)
    {
        var call = new Arguments { Stream = stream, Branch = branch, Sum = sum, Dropout = dropout };
        RowParallel.For(count / Lanes.Count, Chunk, &AddRows, &call);
    }

    /// <summary>branch = dropout(stream), rounded: the gradient that reaches the branch.</summary>
    public static void Split(float* stream, T* branch, int count, DropoutMask dropout)
    {
        var call = new Arguments { Stream = stream, Branch = branch, Dropout = dropout };
        RowParallel.For(count / Lanes.Count, Chunk, &SplitRows, &call);
    }

    private static void AddRows(void* data, int from, int to)
    {
        ref var call = ref *(Arguments*)data;
        for (int i = from * Lanes.Count; i < to * Lanes.Count; i += Lanes.Count)
        {
            var branch = T.Load(call.Branch + i);
            (Vector512.Load(call.Stream + i) + (call.Dropout.IsOn ? call.Dropout.Apply(branch, i) : branch)).Store(call.Sum + i);
        }
    }

    private static void SplitRows(void* data, int from, int to)
    {
        ref var call = ref *(Arguments*)data;
        for (int i = from * Lanes.Count; i < to * Lanes.Count; i += Lanes.Count)
        {
            var values = Vector512.Load(call.Stream + i);
            T.Store(call.Dropout.IsOn ? call.Dropout.Apply(values, i) : values, call.Branch + i);
        }
    }

    private struct Arguments
    {
        public float* Stream, Sum;
        public T* Branch;
        public DropoutMask Dropout;
    }
}
