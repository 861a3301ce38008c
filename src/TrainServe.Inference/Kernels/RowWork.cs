using System.Runtime.InteropServices;

namespace TrainServe.Inference.Kernels;

// R rows, K inputs of a row, N outputs of a row.

/// <summary>Work on rows that do not know of each other, some consecutive rows at a time on each thread.</summary>
internal unsafe struct RowWork
{
    // Below this many numbers another thread costs more than it takes off.
    private const int LeastNumbers = 4096;

    public float* Input, Scales, Residual, Weight;
    public byte* Bytes;
    public float* ByteScales, ResidualOut;
    public int Rows, Width;
    public float Epsilon;
    private delegate*<RowWork*, int, void> _row;
    private int _rowsAtATime;

    public void Run(nint context, delegate*<RowWork*, int, void> row, int numbersOfRow)
    {
        _row = row;
        _rowsAtATime = Math.Max(1, LeastNumbers / Math.Max(1, numbersOfRow));
        int parts = (Rows + _rowsAtATime - 1) / _rowsAtATime;
        fixed (RowWork* self = &this)
        {
            if (parts > 1)
            {
                OrtApi.ParallelFor(context, &RunPart, parts, self);
                return;
            }
            for (int index = 0; index < Rows; index++)
            {
                row(self, index);
            }
        }
    }

    /// <summary>R and K of a matrix.</summary>
    public static (int Rows, int Width) Size(nint tensor)
    {
        Span<long> shape = stackalloc long[2];
        return OrtApi.Shape(tensor, shape) == 2 ? (checked((int)shape[0]), checked((int)shape[1])) : throw new InvalidOperationException("A matrix of rows must have two dimensions.");
    }

    public static void* Matrix(nint context, int output, long rows, long width)
    {
        long* shape = stackalloc long[] { rows, width };
        return OrtApi.Data(OrtApi.Output(context, output, shape, 2));
    }

    public static float* Column(nint context, int output, long rows) => (float*)OrtApi.Data(OrtApi.Output(context, output, &rows, 1));

    [UnmanagedCallersOnly]
    private static void RunPart(void* data, nuint part)
    {
        var work = (RowWork*)data;
        int first = (int)part * work->_rowsAtATime, end = Math.Min(work->Rows, first + work->_rowsAtATime);
        for (int index = first; index < end; index++)
        {
            work->_row(work, index);
        }
    }
}
