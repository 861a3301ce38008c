using System.Runtime.Intrinsics;

namespace TrainServe.Model.Kernels;

// N rows, C width.

/// <summary>What the norm reads and writes. Everything is [N, C] unless stated otherwise.</summary>
internal unsafe struct NormArguments<T> where T : unmanaged, IStoredNumber<T>
{
    /// <summary>The residual stream.</summary>
    public float* Input;

    /// <summary>Added to the input before the norm, after dropout; null for nothing.</summary>
    public T* Branch;

    /// <summary>Input plus branch: written by forward where there is a branch.</summary>
    public float* Sum;

    /// <summary>[C]</summary>
    public float* Weight;

    /// <summary>1 / sqrt(mean(x^2) + epsilon): written by forward, read by backward, [N].</summary>
    public float* Inverse;

    /// <summary>The normalised rows: written by forward.</summary>
    public T* Normal;

    /// <summary>Backward: gradient of the normalised rows.</summary>
    public T* NormalGradient;

    /// <summary>Backward: what reaches the stream past the norm; null for nothing.</summary>
    public float* PassedGradient;

    /// <summary>Backward: gradient of the stream, written.</summary>
    public float* InputGradient;

    /// <summary>Backward: the same after dropout, for the branch; null where there is none.</summary>
    public T* BranchGradient;

    /// <summary>Backward: the weight's gradient of each chunk of rows, [chunks, C].</summary>
    public float* WeightGradients;
    public DropoutMask Dropout;
    public float Epsilon;
    public int Rows, Width;
}

/// <summary>Root-mean-square norm, with the addition and the dropout in front of it. Twin: <see cref="RmsNorm"/>.</summary>
internal static unsafe class NormKernel<T> where T : unmanaged, IStoredNumber<T>
{
    /// <summary>Rows of a chunk: what one thread takes at once, and what is summed in one go.</summary>
    public const int Chunk = 64;

    public static int Chunks(int rows) => (rows + Chunk - 1) / Chunk;

    public static void Forward(NormArguments<T> arguments) => RowParallel.For(arguments.Rows, Chunk, &ForwardRows, &arguments);

    public static void Backward(NormArguments<T> arguments) => RowParallel.For(arguments.Rows, Chunk, &BackwardRows, &arguments);

    private static void ForwardRows(void* data, int from, int to)
    {
        ref var call = ref *(NormArguments<T>*)data;
        int width = call.Width;
        for (int row = from; row < to; row++)
        {
            int begin = row * width;
            float* x = call.Input + begin;
            var squares = Vector512<float>.Zero;
            if (call.Branch is not null)
            {
                float* sum = call.Sum + begin;
                for (int i = 0; i < width; i += Lanes.Count)
                {
                    var branch = T.Load(call.Branch + begin + i);
                    var value = Vector512.Load(x + i) + (call.Dropout.IsOn ? call.Dropout.Apply(branch, begin + i) : branch);
                    value.Store(sum + i);
                    squares += value * value;
                }
                x = sum;
            }
            else
            {
                for (int i = 0; i < width; i += Lanes.Count)
                {
                    var value = Vector512.Load(x + i);
                    squares += value * value;
                }
            }
            float inverse = 1 / MathF.Sqrt(Vector512.Sum(squares) / width + call.Epsilon);
            call.Inverse[row] = inverse;
            for (int i = 0; i < width; i += Lanes.Count)
            {
                T.Store(Vector512.Load(x + i) * inverse * Vector512.Load(call.Weight + i), call.Normal + begin + i);
            }
        }
    }

    // y = w x r with r = (mean(x^2) + epsilon)^(-1/2), so dx = r w dy - x r^3 / C sum(w dy x).
    private static void BackwardRows(void* data, int from, int to)
    {
        ref var call = ref *(NormArguments<T>*)data;
        int width = call.Width;
        float* weightGradient = call.WeightGradients + (long)(from / Chunk) * width;
        new Span<float>(weightGradient, width).Clear();
        for (int row = from; row < to; row++)
        {
            int begin = row * width;
            float* x = call.Input + begin;
            float inverse = call.Inverse[row];
            var dot = Vector512<float>.Zero;
            for (int i = 0; i < width; i += Lanes.Count)
            {
                var weighted = T.Load(call.NormalGradient + begin + i) * Vector512.Load(x + i);
                dot += weighted * Vector512.Load(call.Weight + i);
                (Vector512.Load(weightGradient + i) + weighted * inverse).Store(weightGradient + i);
            }
            float along = Vector512.Sum(dot) * inverse * inverse * inverse / width;
            for (int i = 0; i < width; i += Lanes.Count)
            {
                var gradient = T.Load(call.NormalGradient + begin + i) * Vector512.Load(call.Weight + i) * inverse - Vector512.Load(x + i) * along;
                if (call.PassedGradient is not null)
                {
                    gradient += Vector512.Load(call.PassedGradient + begin + i);
                }
                gradient.Store(call.InputGradient + begin + i);
                if (call.BranchGradient is not null)
                {
                    T.Store(call.Dropout.IsOn ? call.Dropout.Apply(gradient, begin + i) : gradient, call.BranchGradient + begin + i);
                }
            }
        }
    }
}
