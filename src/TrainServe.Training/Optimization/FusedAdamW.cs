using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TrainServe.Training.Optimization;

/// <summary>libtorch's AdamW for many weights in one call, which TorchSharp does not wrap: on a GPU one kernel instead of a dozen for each weight.</summary>
/// <remarks>Reached through libtorch's stable C interface (torch/csrc/inductor/aoti_torch/c/shim.h). Its arguments are 64 bits each; an operator takes the lists that it is given.</remarks>
internal static unsafe partial class FusedAdamW
{
    private const string Library = "torch_cpu";

    /// <param name="weights">p, changed.</param>
    /// <param name="gradients">g; they come back multiplied by their scale.</param>
    /// <param name="firstMoments">m, changed.</param>
    /// <param name="secondMoments">v, changed.</param>
    /// <param name="updates">Updates with this one, for the moments' bias.</param>
    /// <param name="learningRate">Of this step.</param>
    /// <param name="beta1">Of m.</param>
    /// <param name="beta2">Of v.</param>
    /// <param name="weightDecay">Decoupled; 0 for weights that do not decay.</param>
    /// <param name="epsilon">Added to the denominator.</param>
    /// <param name="gradientScale">What every gradient is multiplied by.</param>
    public static void Update(IReadOnlyList<Tensor> weights, IReadOnlyList<Tensor> gradients, IReadOnlyList<Tensor> firstMoments, IReadOnlyList<Tensor> secondMoments,
        long updates, double learningRate, double beta1, double beta2, double weightDecay, double epsilon, double gradientScale)
    {
        using var scope = NewDisposeScope();
        var device = weights[0].device;
        // The operator divides by it.
        Tensor step = tensor((float)updates, ScalarType.Float32, device), scale = tensor((float)(1 / gradientScale), ScalarType.Float32, device);
        nint scaleHandle = Clone(scale);
        Span<ulong> stack =
        [
            List(weights), List(gradients), List(firstMoments), List(secondMoments), List([]), List([.. Enumerable.Repeat(step, weights.Count)]),
            Bits(learningRate), Bits(beta1), Bits(beta2), Bits(weightDecay), Bits(epsilon), 0, 0, Present((ulong)scaleHandle), 0,
        ];
        fixed (ulong* arguments = stack)
        {
            Check(Dispatch("aten::_fused_adamw_", "", arguments));
        }
    }

    private static ulong Bits(double value) => BitConverter.DoubleToUInt64Bits(value);

    // An optional value is a pointer to it, made as the library makes its own, which frees it.
    private static ulong Present(ulong value)
    {
        ulong* place = (ulong*)New(sizeof(ulong));
        *place = value;
        return (ulong)place;
    }

    private static ulong List(IReadOnlyList<Tensor> tensors)
    {
        Check(NewList((nuint)tensors.Count, out nint list));
        foreach (var tensor in tensors)
        {
            Check(Push(list, (ulong)Clone(tensor)));
        }
        return (ulong)list;
    }

    private static nint Clone(Tensor tensor)
    {
        Check(NewHandle(tensor.Handle, out nint handle));
        return handle;
    }

    private static void Check(int error)
    {
        if (error != 0)
        {
            throw new ExternalException("libtorch's fused AdamW failed; what it says stands above on standard error.");
        }
    }

    [LibraryImport(Library, EntryPoint = "aoti_torch_call_dispatcher", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Dispatch(string name, string overload, ulong* stack);

    [LibraryImport(Library, EntryPoint = "torch_new_list_reserve_size")]
    private static partial int NewList(nuint size, out nint list);

    [LibraryImport(Library, EntryPoint = "torch_list_push_back")]
    private static partial int Push(nint list, ulong element);

    [LibraryImport(Library, EntryPoint = "aoti_torch_new_tensor_handle")]
    private static partial int NewHandle(nint tensor, out nint handle);

    // operator new(size_t)
    [LibraryImport("libstdc++.so.6", EntryPoint = "_Znwm")]
    private static partial void* New(nuint size);
}
