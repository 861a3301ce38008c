using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace TrainServe.Inference.Kernels;

/// <summary>From sums [R, K], the scales [R] they are to be multiplied by, a residual [R, K] and a norm's weight [K]: the RMS norm of residual + sums * scale as bytes [R, K] with zero point 128, a scale for each row, [R], and the new residual, [R, K].</summary>
internal static unsafe class AddNormQuantizeRows
{
    public static OperatorDefinition Definition { get; } = new("AddNormQuantizeRows", [TensorType.Float, TensorType.Float, TensorType.Float, TensorType.Float], [TensorType.Byte, TensorType.Float, TensorType.Float])
    {
        Read = &Read,
        Compute = &Compute,
    };

    private static void Read(nint info, KernelSettings* settings) => settings->Epsilon = OrtApi.FloatAttribute(info, "epsilon\0"u8);

    private static void Compute(KernelSettings* settings, nint context)
    {
        nint input = OrtApi.Input(context, 0);
        var (rows, width) = RowWork.Size(input);
        var work = new RowWork
        {
            Input = (float*)OrtApi.Data(input), Scales = (float*)OrtApi.Data(OrtApi.Input(context, 1)), Residual = (float*)OrtApi.Data(OrtApi.Input(context, 2)), Weight = (float*)OrtApi.Data(OrtApi.Input(context, 3)),
            Rows = rows, Width = width, Epsilon = settings->Epsilon,
            Bytes = (byte*)RowWork.Matrix(context, 0, rows, width), ByteScales = RowWork.Column(context, 1, rows), ResidualOut = (float*)RowWork.Matrix(context, 2, rows, width),
        };
        work.Run(context, &Row, 2 * width);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization), SkipLocalsInit]
    private static void Row(RowWork* work, int row)
    {
        const int LargestOnStack = 32768;
        int width = work->Width;
        long start = (long)row * width;
        float* sums = work->Input + start, residual = work->Residual + start, added = work->ResidualOut + start;
        var scale = Vector512.Create(work->Scales[row]);
        var squares = Vector512<float>.Zero;
        for (int i = 0; i < width; i += VectorMath.Width)
        {
            var value = VectorMath.Load(sums + i, width - i) * scale + VectorMath.Load(residual + i, width - i);
            VectorMath.Store(value, added + i, width - i);
            squares = Vector512.FusedMultiplyAdd(value, value, squares);
        }
        float square = 0;
        for (int i = 0; i < VectorMath.Width; i++)
        {
            square += squares[i];
        }
        bool fits = width <= LargestOnStack;
        float* onStack = stackalloc float[fits ? width : 1];
        float* normed = fits ? onStack : (float*)NativeMemory.Alloc((nuint)width, sizeof(float));
        var factor = Vector512.Create(1 / MathF.Sqrt(square / width + work->Epsilon));
        for (int i = 0; i < width; i += VectorMath.Width)
        {
            VectorMath.Store(VectorMath.Load(added + i, width - i) * factor * VectorMath.Load(work->Weight + i, width - i), normed + i, width - i);
        }
        work->ByteScales[row] = VectorMath.QuantizeRow(normed, width, work->Bytes + start);
        if (!fits)
        {
            NativeMemory.Free(normed);
        }
    }
}
