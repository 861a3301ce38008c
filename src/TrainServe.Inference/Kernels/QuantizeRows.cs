namespace TrainServe.Inference.Kernels;

/// <summary>x [R, K] to bytes [R, K] with zero point 128 and a scale for each row, [R].</summary>
internal static unsafe class QuantizeRows
{
    public static OperatorDefinition Definition { get; } = new("QuantizeRows", [TensorType.Float], [TensorType.Byte, TensorType.Float]) { Read = &Read, Compute = &Compute };

    private static void Read(nint info, KernelSettings* settings)
    {
    }

    private static void Compute(KernelSettings* settings, nint context)
    {
        nint input = OrtApi.Input(context, 0);
        var (rows, width) = RowWork.Size(input);
        var work = new RowWork { Input = (float*)OrtApi.Data(input), Rows = rows, Width = width, Bytes = (byte*)RowWork.Matrix(context, 0, rows, width), ByteScales = RowWork.Column(context, 1, rows) };
        work.Run(context, &Row, width);
    }

    private static void Row(RowWork* work, int row)
    {
        long start = (long)row * work->Width;
        work->ByteScales[row] = VectorMath.QuantizeRow(work->Input + start, work->Width, work->Bytes + start);
    }
}
