using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using static TorchSharp.torch;

namespace TrainServe.Model.Kernels;

/// <summary>In what type activations lie in memory; in registers they are single precision.</summary>
internal unsafe interface IStoredNumber<T> where T : unmanaged, IStoredNumber<T>
{
    /// <summary>libtorch's name of it.</summary>
    static abstract ScalarType Type { get; }

    /// <summary>16 numbers.</summary>
    static abstract Vector512<float> Load(T* source);

    /// <summary>8 numbers.</summary>
    static abstract Vector256<float> LoadEight(T* source);

    /// <summary>16 numbers, rounded.</summary>
    static abstract void Store(Vector512<float> values, T* destination);

    /// <summary>8 numbers, rounded.</summary>
    static abstract void StoreEight(Vector256<float> values, T* destination);

    static abstract float ToSingle(T value);

    static abstract T FromSingle(float value);
}

/// <summary>The upper half of a single-precision number. Rounded to the nearest, a tie to the even one, as libtorch does.</summary>
internal readonly unsafe struct BFloat16 : IStoredNumber<BFloat16>
{
    private readonly ushort _bits;

    private BFloat16(ushort bits) => _bits = bits;

    public static ScalarType Type => ScalarType.BFloat16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(BFloat16* source) => (Avx512F.ConvertToVector512UInt32(Vector256.Load((ushort*)source)) << 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadEight(BFloat16* source) => (Avx2.ConvertToVector256Int32(Vector128.Load((ushort*)source)) << 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector512<float> values, BFloat16* destination)
    {
        var bits = values.AsUInt32();
        var rounded = bits + Vector512.Create(0x7FFFu) + ((bits >> 16) & Vector512<uint>.One);
        Avx512F.ConvertToVector256UInt16(rounded >> 16).Store((ushort*)destination);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreEight(Vector256<float> values, BFloat16* destination)
    {
        var bits = values.AsUInt32();
        var rounded = bits + Vector256.Create(0x7FFFu) + ((bits >> 16) & Vector256<uint>.One);
        Avx512F.VL.ConvertToVector128UInt16(rounded >> 16).Store((ushort*)destination);
    }

    public static float ToSingle(BFloat16 value) => BitConverter.UInt32BitsToSingle((uint)value._bits << 16);

    public static BFloat16 FromSingle(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return new BFloat16((ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16));
    }
}

/// <summary>Single precision, as it is.</summary>
internal readonly unsafe struct Float32 : IStoredNumber<Float32>
{
    private readonly float _value;

    private Float32(float value) => _value = value;

    public static ScalarType Type => ScalarType.Float32;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(Float32* source) => Vector512.Load((float*)source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadEight(Float32* source) => Vector256.Load((float*)source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector512<float> values, Float32* destination) => values.Store((float*)destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreEight(Vector256<float> values, Float32* destination) => values.Store((float*)destination);

    public static float ToSingle(Float32 value) => value._value;

    public static Float32 FromSingle(float value) => new(value);
}
