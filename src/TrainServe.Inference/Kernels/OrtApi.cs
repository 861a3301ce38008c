using System.Runtime.InteropServices;

namespace TrainServe.Inference.Kernels;

/// <summary>The functions of ONNX Runtime's C interface that operators of one's own need; its C# package has none of them.</summary>
/// <remarks>The table only ever grows at its end, so that a place in it holds for every later version. See onnxruntime_c_api.h, struct OrtApi.</remarks>
internal static unsafe partial class OrtApi
{
    /// <summary>The oldest version that has every function used here.</summary>
    public const uint Version = 22;

    private const int GeneralFailure = 1;
    private static readonly nint* Table = Open();

    public static nint CreateDomain(byte* name)
    {
        nint domain;
        Check(((delegate* unmanaged<byte*, nint*, nint>)Table[26])(name, &domain));
        return domain;
    }

    public static void AddOperator(nint domain, void* operation) => Check(((delegate* unmanaged<nint, void*, nint>)Table[27])(domain, operation));

    public static void AddDomain(nint sessionOptions, nint domain) => Check(((delegate* unmanaged<nint, nint, nint>)Table[28])(sessionOptions, domain));

    public static float FloatAttribute(nint info, ReadOnlySpan<byte> name)
    {
        float value;
        fixed (byte* text = name)
        {
            Check(((delegate* unmanaged<nint, byte*, float*, nint>)Table[85])(info, text, &value));
        }
        return value;
    }

    public static int IntegerAttribute(nint info, ReadOnlySpan<byte> name)
    {
        long value;
        fixed (byte* text = name)
        {
            Check(((delegate* unmanaged<nint, byte*, long*, nint>)Table[86])(info, text, &value));
        }
        return checked((int)value);
    }

    /// <summary>The tensor of an input, 0 where an optional one was left out.</summary>
    public static nint Input(nint context, int index)
    {
        nint value;
        Check(((delegate* unmanaged<nint, nuint, nint*, nint>)Table[90])(context, (nuint)index, &value));
        return value;
    }

    public static nint Output(nint context, int index, long* shape, int rank)
    {
        nint value;
        Check(((delegate* unmanaged<nint, nuint, long*, nuint, nint*, nint>)Table[91])(context, (nuint)index, shape, (nuint)rank, &value));
        return value;
    }

    public static void* Data(nint tensor)
    {
        void* data;
        Check(((delegate* unmanaged<nint, void**, nint>)Table[51])(tensor, &data));
        return data;
    }

    /// <summary>Writes a tensor's dimensions, and gives their number.</summary>
    public static int Shape(nint tensor, Span<long> dimensions)
    {
        nint info;
        Check(((delegate* unmanaged<nint, nint*, nint>)Table[65])(tensor, &info));
        nuint rank;
        Check(((delegate* unmanaged<nint, nuint*, nint>)Table[61])(info, &rank));
        if ((int)rank <= dimensions.Length)
        {
            fixed (long* target = dimensions)
            {
                Check(((delegate* unmanaged<nint, long*, nuint, nint>)Table[62])(info, target, rank));
            }
        }
        ((delegate* unmanaged<nint, void>)Table[99])(info);
        return (int)rank;
    }

    /// <summary>Calls a function with each number below <paramref name="total"/>, on the session's threads.</summary>
    public static void ParallelFor(nint context, delegate* unmanaged<void*, nuint, void> body, int total, void* data) =>
        Check(((delegate* unmanaged<nint, delegate* unmanaged<void*, nuint, void>, nuint, nuint, void*, nint>)Table[274])(context, body, (nuint)total, 0, data));

    /// <summary>What an operator gives back in place of an exception.</summary>
    public static nint Failure(string message)
    {
        nint text = Marshal.StringToCoTaskMemUTF8(message);
        nint status = ((delegate* unmanaged<int, nint, nint>)Table[0])(GeneralFailure, text);
        Marshal.FreeCoTaskMem(text);
        return status;
    }

    private static void Check(nint status)
    {
        if (status != 0)
        {
            string? message = Marshal.PtrToStringUTF8(((delegate* unmanaged<nint, nint>)Table[2])(status));
            ((delegate* unmanaged<nint, void>)Table[93])(status);
            throw new InvalidOperationException(message);
        }
    }

    private static nint* Open()
    {
        nint* entry = (nint*)OrtGetApiBase();
        nint table = ((delegate* unmanaged<uint, nint>)entry[0])(Version);
        return table != 0 ? (nint*)table : throw new NotSupportedException($"ONNX Runtime {Marshal.PtrToStringUTF8(((delegate* unmanaged<nint>)entry[1])())} is too old for TrainServe's operators.");
    }

    [LibraryImport("onnxruntime")]
    private static partial nint OrtGetApiBase();
}
