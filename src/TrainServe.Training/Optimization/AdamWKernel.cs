using System.Runtime.Intrinsics;
using TrainServe.Model.Kernels;
using static TorchSharp.torch;

namespace TrainServe.Training.Optimization;

// g gradient, m first moment, v second moment, p weight.

/// <summary>One update's factors, the same for every weight.</summary>
/// <param name="Beta1">Of m.</param>
/// <param name="Beta2">Of v.</param>
/// <param name="Epsilon">Added to the denominator.</param>
/// <param name="GradientScale">What every gradient is multiplied by.</param>
/// <param name="StepSize">Learning rate over m's bias correction.</param>
/// <param name="RootCorrection">1 over the root of v's bias correction.</param>
internal readonly record struct AdamWFactors(float Beta1, float Beta2, float Epsilon, float GradientScale, float StepSize, float RootCorrection);

/// <summary>Norm of the gradients, and AdamW in one pass over a weight, instead of a dozen. Twins: libtorch's operators in <see cref="Gradients"/> and <see cref="AdamW"/>.</summary>
internal static unsafe class AdamWKernel
{
    // Numbers of which one thread takes a chunk; sums of squares are made chunk by chunk, so that they do not depend on the number of threads.
    private const int Chunk = 1 << 14;

    /// <summary>Whether the kernel can work on a tensor.</summary>
    public static bool Supports(Tensor tensor) => Lanes.IsSupported && tensor.device.type == TorchSharp.DeviceType.CPU && tensor.dtype == ScalarType.Float32 && tensor.is_contiguous();

    /// <summary>The sum of all squares.</summary>
    public static double SumOfSquares(Tensor gradient)
    {
        long count = gradient.numel();
        int chunks = (int)((count + Chunk - 1) / Chunk);
        double[] sums = new double[chunks];
        fixed (double* destination = sums)
        {
            var call = new Arguments { Gradient = (float*)Lanes.Pointer(gradient), Sums = destination, Count = count };
            RowParallel.For(chunks, 1, &SquareChunks, &call);
        }
        return sums.Sum();
    }

    /// <param name="weight">p, changed.</param>
    /// <param name="firstMoment">m, changed.</param>
    /// <param name="secondMoment">v, changed.</param>
    /// <param name="gradient">g.</param>
    /// <param name="factors">Of this update.</param>
    /// <param name="decay">What p is multiplied by first: 1 - learning rate * weight decay, or 1.</param>
    public static void Update(Tensor weight, Tensor firstMoment, Tensor secondMoment, Tensor gradient, AdamWFactors factors, float decay)
    {
        long count = weight.numel();
        var call = new Arguments
        {
            Weight = (float*)Lanes.Pointer(weight), FirstMoment = (float*)Lanes.Pointer(firstMoment), SecondMoment = (float*)Lanes.Pointer(secondMoment), Gradient = (float*)Lanes.Pointer(gradient),
            Count = count, Factors = factors, Decay = decay,
        };
        RowParallel.For((int)((count + Chunk - 1) / Chunk), 1, &UpdateChunks, &call);
    }

    private static void SquareChunks(void* data, int from, int to)
    {
        ref var call = ref *(Arguments*)data;
        for (int chunk = from; chunk < to; chunk++)
        {
            long i = (long)chunk * Chunk, end = Math.Min(i + Chunk, call.Count);
            Vector512<float> even = default, odd = default;
            for (; i + 2 * Lanes.Count <= end; i += 2 * Lanes.Count)
            {
                Vector512<float> first = Vector512.Load(call.Gradient + i), second = Vector512.Load(call.Gradient + i + Lanes.Count);
                even += first * first;
                odd += second * second;
            }
            double sum = Vector512.Sum(even + odd);
            for (; i < end; i++)
            {
                sum += (double)call.Gradient[i] * call.Gradient[i];
            }
            call.Sums[chunk] = sum;
        }
    }

    private static void UpdateChunks(void* data, int from, int to)
    {
        ref var call = ref *(Arguments*)data;
        var f = call.Factors;
        for (long i = (long)from * Chunk, end = Math.Min((long)to * Chunk, call.Count); i < end; i += Lanes.Count)
        {
            if (i + Lanes.Count > end)
            {
                UpdateOneByOne(in call, i, end);
                return;
            }
            var gradient = Vector512.Load(call.Gradient + i) * f.GradientScale;
            var first = Vector512.Load(call.FirstMoment + i) * f.Beta1 + gradient * (1 - f.Beta1);
            var second = Vector512.Load(call.SecondMoment + i) * f.Beta2 + gradient * gradient * (1 - f.Beta2);
            first.Store(call.FirstMoment + i);
            second.Store(call.SecondMoment + i);
            var change = first * f.StepSize / (Vector512.Sqrt(second) * f.RootCorrection + Vector512.Create(f.Epsilon));
            (Vector512.Load(call.Weight + i) * call.Decay - change).Store(call.Weight + i);
        }
    }

    private static void UpdateOneByOne(in Arguments call, long from, long end)
    {
        var f = call.Factors;
        for (long i = from; i < end; i++)
        {
            float gradient = call.Gradient[i] * f.GradientScale;
            float first = call.FirstMoment[i] = call.FirstMoment[i] * f.Beta1 + gradient * (1 - f.Beta1);
            float second = call.SecondMoment[i] = call.SecondMoment[i] * f.Beta2 + gradient * gradient * (1 - f.Beta2);
            call.Weight[i] = call.Weight[i] * call.Decay - first * f.StepSize / (MathF.Sqrt(second) * f.RootCorrection + f.Epsilon);
        }
    }

    private struct Arguments
    {
        public float* Weight, FirstMoment, SecondMoment, Gradient;
        public double* Sums;
        public long Count;
        public AdamWFactors Factors;
        public float Decay;
    }
}
