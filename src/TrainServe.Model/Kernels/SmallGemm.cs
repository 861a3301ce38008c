using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace TrainServe.Model.Kernels;

// C[m, n] (+)= A[m, k] B[k, n], single precision. m is a multiple of 8, n of 16.

/// <summary>Matrix products small enough for a core's cache: those of one attention head.</summary>
internal static unsafe class SmallGemm
{
    /// <summary>Rows of C that are kept in registers.</summary>
    public const int RowBlock = 8;

    /// <param name="a">A's first number; A[i, l] is at i * aRow + l * aDepth, so that A may be read transposed.</param>
    /// <param name="aRow">Distance of A's rows.</param>
    /// <param name="aDepth">Distance of A's columns.</param>
    /// <param name="b">B, row after row.</param>
    /// <param name="bRow">Distance of B's rows.</param>
    /// <param name="c">C, row after row.</param>
    /// <param name="cRow">Distance of C's rows.</param>
    /// <param name="m">Rows of C.</param>
    /// <param name="n">Columns of C.</param>
    /// <param name="k">Depth.</param>
    /// <param name="adds">Whether C's numbers are added to; otherwise they are written.</param>
    public static void Multiply(float* a, nint aRow, nint aDepth, float* b, nint bRow, float* c, nint cRow, int m, int n, int k, bool adds)
    {
        for (int column = 0; column < n; column += 2 * Lanes.Count)
        {
            bool isPair = column + Lanes.Count < n;
            for (int row = 0; row < m; row += RowBlock)
            {
                if (isPair)
                {
                    Pair(a + row * aRow, aRow, aDepth, b + column, bRow, c + row * cRow + column, cRow, k, adds);
                }
                else
                {
                    Single(a + row * aRow, aRow, aDepth, b + column, bRow, c + row * cRow + column, cRow, k, adds);
                }
            }
        }
    }

    // 8 rows by 32 columns: 16 sums in registers, one multiplication each for 10 loads.
    private static void Pair(float* a, nint aRow, nint aDepth, float* b, nint bRow, float* c, nint cRow, int k, bool adds)
    {
        Vector512<float> c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default, c30 = default, c31 = default;
        Vector512<float> c40 = default, c41 = default, c50 = default, c51 = default, c60 = default, c61 = default, c70 = default, c71 = default;
        float* a4 = a + 4 * aRow;
        nint aRow3 = 3 * aRow;
        for (int l = 0; l < k; l++)
        {
            Vector512<float> b0 = Vector512.Load(b), b1 = Vector512.Load(b + Lanes.Count);
            var x = Vector512.Create(a[0]);
            c00 = Add(x, b0, c00);
            c01 = Add(x, b1, c01);
            x = Vector512.Create(a[aRow]);
            c10 = Add(x, b0, c10);
            c11 = Add(x, b1, c11);
            x = Vector512.Create(a[2 * aRow]);
            c20 = Add(x, b0, c20);
            c21 = Add(x, b1, c21);
            x = Vector512.Create(a[aRow3]);
            c30 = Add(x, b0, c30);
            c31 = Add(x, b1, c31);
            x = Vector512.Create(a4[0]);
            c40 = Add(x, b0, c40);
            c41 = Add(x, b1, c41);
            x = Vector512.Create(a4[aRow]);
            c50 = Add(x, b0, c50);
            c51 = Add(x, b1, c51);
            x = Vector512.Create(a4[2 * aRow]);
            c60 = Add(x, b0, c60);
            c61 = Add(x, b1, c61);
            x = Vector512.Create(a4[aRow3]);
            c70 = Add(x, b0, c70);
            c71 = Add(x, b1, c71);
            a += aDepth;
            a4 += aDepth;
            b += bRow;
        }
        Put(c, c00, c01, adds);
        Put(c + cRow, c10, c11, adds);
        Put(c + 2 * cRow, c20, c21, adds);
        Put(c + 3 * cRow, c30, c31, adds);
        Put(c + 4 * cRow, c40, c41, adds);
        Put(c + 5 * cRow, c50, c51, adds);
        Put(c + 6 * cRow, c60, c61, adds);
        Put(c + 7 * cRow, c70, c71, adds);
    }

    // 8 rows by 16 columns.
    private static void Single(float* a, nint aRow, nint aDepth, float* b, nint bRow, float* c, nint cRow, int k, bool adds)
    {
        Vector512<float> c0 = default, c1 = default, c2 = default, c3 = default, c4 = default, c5 = default, c6 = default, c7 = default;
        for (int l = 0; l < k; l++)
        {
            var b0 = Vector512.Load(b);
            c0 = Add(Vector512.Create(a[0]), b0, c0);
            c1 = Add(Vector512.Create(a[aRow]), b0, c1);
            c2 = Add(Vector512.Create(a[2 * aRow]), b0, c2);
            c3 = Add(Vector512.Create(a[3 * aRow]), b0, c3);
            c4 = Add(Vector512.Create(a[4 * aRow]), b0, c4);
            c5 = Add(Vector512.Create(a[5 * aRow]), b0, c5);
            c6 = Add(Vector512.Create(a[6 * aRow]), b0, c6);
            c7 = Add(Vector512.Create(a[7 * aRow]), b0, c7);
            a += aDepth;
            b += bRow;
        }
        Put(c, c0, adds);
        Put(c + cRow, c1, adds);
        Put(c + 2 * cRow, c2, adds);
        Put(c + 3 * cRow, c3, adds);
        Put(c + 4 * cRow, c4, adds);
        Put(c + 5 * cRow, c5, adds);
        Put(c + 6 * cRow, c6, adds);
        Put(c + 7 * cRow, c7, adds);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Add(Vector512<float> x, Vector512<float> y, Vector512<float> sum) => Avx512F.FusedMultiplyAdd(x, y, sum);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(float* c, Vector512<float> first, Vector512<float> second, bool adds)
    {
        Put(c, first, adds);
        Put(c + Lanes.Count, second, adds);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(float* c, Vector512<float> sum, bool adds) => (adds ? sum + Vector512.Load(c) : sum).Store(c);
}
