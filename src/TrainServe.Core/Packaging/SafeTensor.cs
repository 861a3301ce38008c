using System.Runtime.InteropServices;

namespace TrainServe.Core.Packaging;

/// <summary>One tensor to be written: its name, type, dimensions and a way to produce its bytes, little-endian and row-major.</summary>
/// <param name="WriteTo">Writes exactly the tensor's bytes; called once, when its turn in the file comes, so that large models need no second copy.</param>
public sealed record SafeTensor(string Name, SafeTensorType Type, long[] Shape, Action<Stream> WriteTo)
{
    /// <exception cref="OverflowException">The dimensions multiply beyond 63 bits.</exception>
    public long SizeBytes => SizeOf(Type, Shape);

    public static long SizeOf(SafeTensorType type, ReadOnlySpan<long> shape)
    {
        long count = type.SizeBytes();
        foreach (long dimension in shape)
        {
            count = checked(count * dimension);
        }
        return count;
    }

    /// <summary>Single-precision values as they are.</summary>
    public static SafeTensor Singles(string name, long[] shape, ReadOnlyMemory<float> values) => new(name, SafeTensorType.F32, shape, stream =>
    {
        CheckCount(name, shape, values.Length);
        stream.Write(MemoryMarshal.AsBytes(values.Span));
    });

    /// <summary>Single-precision values rounded to bfloat16, ties to even.</summary>
    public static SafeTensor BFloat16(string name, long[] shape, ReadOnlyMemory<float> values) => new(name, SafeTensorType.BF16, shape, stream =>
    {
        CheckCount(name, shape, values.Length);
        var chunk = new ushort[Math.Min(values.Length, 1 << 16)];
        for (int start = 0; start < values.Length; start += chunk.Length)
        {
            var source = values.Span[start..Math.Min(start + chunk.Length, values.Length)];
            for (int i = 0; i < source.Length; i++)
            {
                chunk[i] = BFloat16Bits.Round(source[i]);
            }
            stream.Write(MemoryMarshal.AsBytes(chunk.AsSpan(0, source.Length)));
        }
    });

    private static void CheckCount(string name, long[] shape, int count)
    {
        if (SizeOf(SafeTensorType.U8, shape) != count)
        {
            throw new ArgumentException($"{name} has {count} values for the shape [{string.Join(", ", shape)}].", nameof(shape));
        }
    }
}

/// <summary>bfloat16 is the upper half of a single: the same exponent, 7 bits of fraction.</summary>
public static class BFloat16Bits
{
    public static ushort Round(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        if (float.IsNaN(value))
        {
            return (ushort)((bits >> 16) | 0x40);
        }
        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    public static float Widen(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);
}
