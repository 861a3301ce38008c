using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using System.Text;
using TorchSharp;
using static TorchSharp.torch;

namespace TrainServe.Model.Kernels;

/// <summary>Matrix products on the processor, in bfloat16 or single precision, and into tensors that are there.</summary>
/// <remarks>
/// libtorch gives single precision to MKL, which on processors of other makers than its own keeps to AVX2: 85 to 106 GFLOP/s a thread of a Zen 5, where oneDNN, which is in the same library and
/// multiplies bfloat16 already, reaches 200 to 238 with AVX-512. libtorch has no setting for it, so that its own function is called by name, if it is there and gives the same numbers.
/// </remarks>
internal static partial class MatrixProduct
{
    // at::native::mkldnn_matmul(const Tensor& left, const Tensor& right, const Tensor& result, float beta, float alpha)
    private const string OneDnnEntry = "_ZN2at6native13mkldnn_matmulERKNS_6TensorES3_S3_ff";
    // Of another version the signature may be another, and no test could tell without calling it.
    private const string KnownVersion = "2.10.";

    private const int RowsAtLeast = 4;

    private static readonly Lazy<bool> ByOneDnn = new(() => IsOneDnnKnown() && GivesTheSame());

    /// <summary>Who multiplies single precision: oneDNN or libtorch. The last bits depend on it.</summary>
    public static string SinglePrecision => ByOneDnn.Value ? "oneDNN" : "libtorch";

    /// <summary>left right, in the caller's dispose scope.</summary>
    /// <param name="left">[N, I], of either type; possibly a transposed view.</param>
    /// <param name="right">[I, O], of the same type.</param>
    public static Tensor Of(Tensor left, Tensor right)
    {
        // Of few rows libtorch reads the weights as fast as memory gives them, while oneDNN takes 60 us to begin: from four rows on it is ahead, by 1.4 at least.
        if (!IsForOneDnn(left) || left.shape[0] < RowsAtLeast)
        {
            return mm(left, right);
        }
        var result = empty(left.shape[0], right.shape[1], ScalarType.Float32);
        MultiplyByOneDnn(left.Handle, right.Handle, result.Handle, 0, 1);
        return result;
    }

    /// <summary>result = left right, written where it is.</summary>
    /// <param name="result">[N, O], contiguous, of the factors' type.</param>
    /// <param name="left">[N, I]</param>
    /// <param name="right">[I, O]</param>
    public static void Write(Tensor result, Tensor left, Tensor right)
    {
        if (IsForOneDnn(left))
        {
            MultiplyByOneDnn(left.Handle, right.Handle, result.Handle, 0, 1);
        }
        else if (MultiplyByLibtorch(result.Handle, left.Handle, right.Handle) != 0)
        {
            throw new ExternalException("libtorch's matrix product failed; what it says stands above on standard error.");
        }
    }

    /// <summary>result += left right, where products of this type can be added at once.</summary>
    /// <returns>False where they cannot, and nothing was done.</returns>
    public static bool TryAdd(Tensor result, Tensor left, Tensor right)
    {
        if (!IsForOneDnn(left))
        {
            return false;
        }
        MultiplyByOneDnn(left.Handle, right.Handle, result.Handle, 1, 1);
        return true;
    }

    private static bool IsForOneDnn(Tensor left) => left.dtype == ScalarType.Float32 && ByOneDnn.Value;

    private static bool IsOneDnnKnown() =>
        OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture == Architecture.X64 && Lanes.IsSupported && !IsIntel()
        && __version__.StartsWith(KnownVersion, StringComparison.Ordinal)
        && NativeLibrary.TryLoad("torch_cpu", typeof(MatrixProduct).Assembly, null, out nint library) && NativeLibrary.TryGetExport(library, OneDnnEntry, out _);

    private static bool IsIntel()
    {
        var (_, ebx, ecx, edx) = X86Base.CpuId(0, 0);
        Span<byte> vendor = stackalloc byte[12];
        MemoryMarshal.Write(vendor, ebx);
        MemoryMarshal.Write(vendor[4..], edx);
        MemoryMarshal.Write(vendor[8..], ecx);
        return Encoding.ASCII.GetString(vendor) == "GenuineIntel";
    }

    // Whole numbers, whose products and sums are exact in any order.
    private static bool GivesTheSame()
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        Tensor left = Numbers(19, 33, 1), right = Numbers(33, 21, 5), leftTurned = Numbers(33, 19, 3).t(), rightTurned = Numbers(21, 33, 7).t();
        foreach (var (a, b) in new[] { (left, right), (leftTurned, right), (left, rightTurned), (leftTurned, rightTurned) })
        {
            // beta 0 must not read what is there.
            var result = full(19, 21, LiveScalar.Of(double.NaN), ScalarType.Float32);
            MultiplyByOneDnn(a.Handle, b.Handle, result.Handle, 0, 1);
            var once = mm(a, b);
            if (!AreEqual(result, once))
            {
                return false;
            }
            MultiplyByOneDnn(a.Handle, b.Handle, result.Handle, 1, 1);
            if (!AreEqual(result, once.add(once, LiveScalar.Of(1))))
            {
                return false;
            }
        }
        return true;
    }

    private static bool AreEqual(Tensor one, Tensor other) => one.eq(other).all().item<bool>();

    private static Tensor Numbers(int rows, int columns, int step)
    {
        float[] values = new float[rows * columns];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = i * step % 17 - 8;
        }
        return tensor(values, rows, columns);
    }

    [LibraryImport("torch_cpu", EntryPoint = OneDnnEntry)]
    private static partial void MultiplyByOneDnn(nint left, nint right, nint result, float beta, float alpha);

    // libtorch's stable C interface (torch/csrc/inductor/aoti_torch/generated/c_shim_cpu.h): TorchSharp has no product into a given tensor.
    [LibraryImport("torch_cpu", EntryPoint = "aoti_torch_cpu_mm_out")]
    private static partial int MultiplyByLibtorch(nint result, nint left, nint right);
}
