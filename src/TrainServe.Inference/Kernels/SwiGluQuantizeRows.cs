using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace TrainServe.Inference.Kernels;

/// <summary>From sums [R, 2K] of gate and up and the scales [R] they are to be multiplied by: SiLU(gate) * up as bytes [R, K] with zero point 128 and a scale for each row, [R].</summary>
internal static unsafe class SwiGluQuantizeRows
{
    public static OperatorDefinition Definition { get; } = new("SwiGluQuantizeRows", [TensorType.Float, TensorType.Float], [TensorType.Byte, TensorType.Float]) { Read = &Read, Compute = &Compute };

    private static void Read(nint info, KernelSettings* settings)
    {
    }

    private static void Compute(KernelSettings* settings, nint context)
    {
        nint input = OrtApi.Input(context, 0);
        var (rows, both) = RowWork.Size(input);
        int width = both / 2;
        var work = new RowWork
        {
            Input = (float*)OrtApi.Data(input), Scales = (float*)OrtApi.Data(OrtApi.Input(context, 1)), Rows = rows, Width = width,
            Bytes = (byte*)RowWork.Matrix(context, 0, rows, width), ByteScales = RowWork.Column(context, 1, rows),
        };
        work.Run(context, &Row, both);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization), SkipLocalsInit]
    private static void Row(RowWork* work, int row)
    {
        const int LargestOnStack = 32768;
        int width = work->Width;
        float* gate = work->Input + (long)row * 2 * width, up = gate + width;
        bool fits = width <= LargestOnStack;
        float* onStack = stackalloc float[fits ? width : 1];
        float* product = fits ? onStack : (float*)NativeMemory.Alloc((nuint)width, sizeof(float));
        var scale = Vector512.Create(work->Scales[row]);
        for (int i = 0; i < width; i += VectorMath.Width)
        {
            var result = VectorMath.Silu(VectorMath.Load(gate + i, width - i) * scale) * (VectorMath.Load(up + i, width - i) * scale);
            VectorMath.Store(result, product + i, width - i);
        }
        work->ByteScales[row] = VectorMath.QuantizeRow(product, width, work->Bytes + (long)row * width);
        if (!fits)
        {
            NativeMemory.Free(product);
        }
    }
}
