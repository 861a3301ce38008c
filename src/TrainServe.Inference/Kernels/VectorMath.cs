using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace TrainServe.Inference.Kernels;

/// <summary>Steps on sixteen numbers at a time. Each number's result is the same in any place and beside any others.</summary>
internal static unsafe class VectorMath
{
    public const int Width = 16;

    /// <summary>e to the x, to about 2e-7 of the result; x is held between -87 and 88.</summary>
    /// <remarks>x = n ln 2 + r with r at most half of ln 2, a polynomial for e to the r (Cephes, expf), and n added to the exponent.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Exp(Vector512<float> x)
    {
        x = Vector512.Min(Vector512.Max(x, Vector512.Create(-87f)), Vector512.Create(88f));
        var n = Vector512.Round(x * Vector512.Create(1.44269504088896341f));
        var r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-0.693359375f), x);
        r = Vector512.FusedMultiplyAdd(n, Vector512.Create(2.12194440e-4f), r);
        var p = Vector512.Create(1.9875691500e-4f);
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1.3981999507e-3f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(8.3334519073e-3f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(4.1665795894e-2f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1.6666665459e-1f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(5.0000001201e-1f));
        p = Vector512.FusedMultiplyAdd(p, r * r, r + Vector512<float>.One);
        return p * Vector512.ShiftLeft(Vector512.ConvertToInt32Native(n) + Vector512.Create(127), 23).AsSingle();
    }

    /// <summary>x times the logistic function of x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Silu(Vector512<float> x) => x / (Vector512<float>.One + Exp(-x));

    /// <summary>The first <paramref name="count"/> numbers, at most sixteen, and zeros behind them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(float* source, int count) => count >= Width ? Vector512.Load(source) : LoadPart(source, count);

    /// <summary>Stores the first <paramref name="count"/> numbers, at most sixteen.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector512<float> value, float* target, int count)
    {
        if (count >= Width)
        {
            value.Store(target);
            return;
        }
        for (int i = 0; i < count; i++)
        {
            target[i] = value[i];
        }
    }

    /// <summary>Writes a row as bytes with zero point 128, and gives their scale: the largest size of a value is 127 steps.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float QuantizeRow(float* row, int count, byte* bytes)
    {
        var largest = Vector512<float>.Zero;
        for (int i = 0; i < count; i += Width)
        {
            largest = Vector512.Max(largest, Vector512.Abs(Load(row + i, count - i)));
        }
        float most = 0;
        for (int i = 0; i < Width; i++)
        {
            most = Math.Max(most, largest[i]);
        }
        float scale = most * (1f / 127);
        // What is divided by zero must not become bytes that depend on the processor.
        var divisor = Vector512.Create(scale == 0 ? 1 : scale);
        for (int i = 0; i < count; i += Width)
        {
            var levels = ToBytes(Load(row + i, count - i) / divisor);
            if (count - i >= Width)
            {
                levels.Store(bytes + i);
                continue;
            }
            for (int rest = 0; rest < count - i; rest++)
            {
                bytes[i + rest] = levels[rest];
            }
        }
        return scale;
    }

    /// <summary>Sixteen numbers as signed bytes: rounded, halves to even, and held within the type.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<sbyte> ToSignedBytes(Vector512<float> value)
    {
        var levels = Vector512.ConvertToInt32Native(Vector512.Min(Vector512.Max(Vector512.Round(value), Vector512.Create(-128f)), Vector512.Create(127f)));
        if (Avx512F.IsSupported)
        {
            return Avx512F.ConvertToVector128SByte(levels);
        }
        var halves = Vector256.Narrow(levels.GetLower(), levels.GetUpper());
        return Vector128.Narrow(halves.GetLower(), halves.GetUpper());
    }

    /// <summary>Sixteen signed bytes as numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> FromSignedBytes(Vector128<sbyte> bytes)
    {
        if (Avx512F.IsSupported)
        {
            return Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(bytes));
        }
        var (low, high) = Vector128.Widen(bytes);
        var (first, second) = Vector128.Widen(low);
        var (third, fourth) = Vector128.Widen(high);
        return Vector512.ConvertToSingle(Vector512.Create(Vector256.Create(first, second), Vector256.Create(third, fourth)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<byte> ToBytes(Vector512<float> value) => ToSignedBytes(value).AsByte() ^ Vector128.Create((byte)128);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Vector512<float> LoadPart(float* source, int count)
    {
        float* part = stackalloc float[Width];
        for (int i = 0; i < Width; i++)
        {
            part[i] = i < count ? source[i] : 0;
        }
        return Vector512.Load(part);
    }
}
