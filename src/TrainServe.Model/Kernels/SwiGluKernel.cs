using System.Runtime.Intrinsics;

namespace TrainServe.Model.Kernels;

// N rows, F inner width. A row of gateUp is the gate's F numbers, then those of up.

/// <summary>silu(gate) * up, with silu(x) = x / (1 + e^-x). Twin: <see cref="FeedForward"/>.</summary>
internal static unsafe class SwiGluKernel<T> where T : unmanaged, IStoredNumber<T>
{
    private const int Chunk = 16;

    /// <param name="gateUp">[N, 2F]</param>
    /// <param name="inner">Written, [N, F].</param>
    /// <param name="rows">N.</param>
    /// <param name="width">F.</param>
    public static void Forward(T* gateUp, T* inner, int rows, int width)
    {
        var call = new Arguments { GateUp = gateUp, Inner = inner, Width = width };
        RowParallel.For(rows, Chunk, &ForwardRows, &call);
    }

    /// <param name="gateUp">[N, 2F]</param>
    /// <param name="inner">The gradient of the result; the result itself is written in its place, for the gradient of the matrix behind it, [N, F].</param>
    /// <param name="gateUpGradient">Written, [N, 2F].</param>
    /// <param name="rows">N.</param>
    /// <param name="width">F.</param>
    public static void Backward(T* gateUp, T* inner, T* gateUpGradient, int rows, int width)
    {
        var call = new Arguments { GateUp = gateUp, Inner = inner, GateUpGradient = gateUpGradient, Width = width };
        RowParallel.For(rows, Chunk, &BackwardRows, &call);
    }

    private static void ForwardRows(void* data, int from, int to)
    {
        ref var call = ref *(Arguments*)data;
        for (int row = from; row < to; row++)
        {
            T* gate = call.GateUp + 2L * row * call.Width, up = gate + call.Width, inner = call.Inner + (long)row * call.Width;
            for (int i = 0; i < call.Width; i += Lanes.Count)
            {
                var x = T.Load(gate + i);
                T.Store(x * Sigmoid(x) * T.Load(up + i), inner + i);
            }
        }
    }

    private static void BackwardRows(void* data, int from, int to)
    {
        ref var call = ref *(Arguments*)data;
        for (int row = from; row < to; row++)
        {
            T* gate = call.GateUp + 2L * row * call.Width, up = gate + call.Width, inner = call.Inner + (long)row * call.Width;
            T* gateGradient = call.GateUpGradient + 2L * row * call.Width, upGradient = gateGradient + call.Width;
            for (int i = 0; i < call.Width; i += Lanes.Count)
            {
                Vector512<float> x = T.Load(gate + i), y = T.Load(up + i), gradient = T.Load(inner + i);
                var sigmoid = Sigmoid(x);
                var silu = x * sigmoid;
                T.Store(silu * y, inner + i);
                T.Store(gradient * silu, upGradient + i);
                T.Store(gradient * y * (sigmoid + silu * (Vector512<float>.One - sigmoid)), gateGradient + i);
            }
        }
    }

    private static Vector512<float> Sigmoid(Vector512<float> x) => Vector512<float>.One / (Vector512<float>.One + Lanes.Exp(-x));

    private struct Arguments
    {
        public T* GateUp, Inner, GateUpGradient;
        public int Width;
    }
}
