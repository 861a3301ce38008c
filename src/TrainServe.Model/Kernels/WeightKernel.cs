using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace TrainServe.Model.Kernels;

/// <summary>Passes over a weight, its bfloat16 copy and its gradient, each in one go. Counts are multiples of <see cref="Lanes.Count"/>.</summary>
internal static unsafe class WeightKernel
{
    // Registers of which one thread takes a chunk.
    private const int Chunk = 1 << 11;

    /// <summary>half = weight, rounded.</summary>
    public static void Round(Tensor weight, Tensor half)
    {
        var call = new Arguments { Single = (float*)Lanes.Pointer(weight), Half = Lanes.Of<BFloat16>(half) };
        Run(weight, &RoundRows, call);
    }

    /// <summary>gradient = scale * product, or with it added; the product is bfloat16 or single precision.</summary>
    public static void Accumulate(Tensor gradient, Tensor product, float scale, bool adds)
    {
        bool isHalf = product.dtype == BFloat16.Type;
        var call = new Arguments
        {
            Single = (float*)Lanes.Pointer(gradient), Half = isHalf ? Lanes.Of<BFloat16>(product) : null, Wide = isHalf ? null : (float*)Lanes.Pointer(product), Scale = scale, Adds = adds,
        };
        Run(gradient, &AccumulateRows, call);
    }

    private static void Run(Tensor tensor, delegate*<void*, int, int, void> body, Arguments call) => RowParallel.For(checked((int)(tensor.numel() / Lanes.Count)), Chunk, body, &call);

    private static void RoundRows(void* data, int from, int to)
    {
        ref var call = ref *(Arguments*)data;
        for (long i = (long)from * Lanes.Count; i < (long)to * Lanes.Count; i += Lanes.Count)
        {
            BFloat16.Store(Vector512.Load(call.Single + i), call.Half + i);
        }
    }

    private static void AccumulateRows(void* data, int from, int to)
    {
        ref var call = ref *(Arguments*)data;
        for (long i = (long)from * Lanes.Count; i < (long)to * Lanes.Count; i += Lanes.Count)
        {
            var product = (call.Half is not null ? BFloat16.Load(call.Half + i) : Vector512.Load(call.Wide + i)) * call.Scale;
            (call.Adds ? Vector512.Load(call.Single + i) + product : product).Store(call.Single + i);
        }
    }

    private struct Arguments
    {
        public float* Single, Wide;
        public BFloat16* Half;
        public float Scale;
        public bool Adds;
    }
}
