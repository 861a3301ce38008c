using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using static TorchSharp.torch;

namespace TrainServe.Model.Kernels;

/// <summary>What the kernels share: 16 numbers at a time.</summary>
internal static unsafe class Lanes
{
    /// <summary>Numbers in a register.</summary>
    public const int Count = 16;

    /// <summary>Whether this processor has the instructions that the kernels use.</summary>
    public static bool IsSupported => Avx512F.IsSupported && Avx512BW.IsSupported && Avx512F.VL.IsSupported && Fma.IsSupported;

    /// <summary>0, 1, 2.. 15.</summary>
    public static Vector512<int> Indices => Vector512.Create(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);

    /// <summary>Where the values of a contiguous tensor on the CPU begin.</summary>
    public static T* Of<T>(Tensor tensor) where T : unmanaged, IStoredNumber<T> => (T*)Pointer(tensor);

    /// <inheritdoc cref="Of{T}"/>
    public static void* Pointer(Tensor tensor) => Unsafe.AsPointer(ref System.Runtime.InteropServices.MemoryMarshal.GetReference(tensor.bytes));

    /// <summary>e^x to about 1 unit in the last place; 0 far below, infinity far above.</summary>
    /// <remarks>x = n ln 2 + r with |r| at most ln 2 / 2, and the polynomial of Cephes' expf for e^r.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Exp(Vector512<float> x)
    {
        const byte toNearestWithoutException = 8;
        // Beyond these the result is 0 or infinity anyway, while an infinite n would make r not a number.
        x = Vector512.Min(Vector512.Max(x, Vector512.Create(-200f)), Vector512.Create(200f));
        var n = Avx512F.RoundScale(x * 1.44269504088896341f, toNearestWithoutException);
        var r = Avx512F.FusedMultiplyAddNegated(n, Vector512.Create(0.693359375f), x);
        r = Avx512F.FusedMultiplyAddNegated(n, Vector512.Create(-2.12194440e-4f), r);
        var p = Vector512.Create(1.9875691500e-4f);
        p = Avx512F.FusedMultiplyAdd(p, r, Vector512.Create(1.3981999507e-3f));
        p = Avx512F.FusedMultiplyAdd(p, r, Vector512.Create(8.3334519073e-3f));
        p = Avx512F.FusedMultiplyAdd(p, r, Vector512.Create(4.1665795894e-2f));
        p = Avx512F.FusedMultiplyAdd(p, r, Vector512.Create(1.6666665459e-1f));
        p = Avx512F.FusedMultiplyAdd(p, r, Vector512.Create(5.0000001201e-1f));
        p = Avx512F.FusedMultiplyAdd(p, r * r, r + Vector512<float>.One);
        return Avx512F.Scale(p, n);
    }
}
