using TorchSharp.Modules;
using TrainServe.Model.Kernels;
using static TorchSharp.torch;

namespace TrainServe.Model;

/// <summary>Fresh parameters that live as long as their module, whatever dispose scope is open where it is made.</summary>
internal static class WeightTensors
{
    /// <summary>For matrices: zero until they are initialised or loaded.</summary>
    public static Parameter Zeros(long[] shape, ScalarType dtype, Device device) => Own(zeros(shape, dtype, device));

    /// <summary>For the weights of norms.</summary>
    public static Parameter Ones(long[] shape, ScalarType dtype, Device device) => Own(ones(shape, dtype, device));

    /// <summary>x times the weight's transpose, in the numbers that x has.</summary>
    /// <param name="x">Any shape that ends in the weight's columns.</param>
    /// <param name="weight">A matrix.</param>
    /// <param name="byKernel">Whether the fast step's product may do it.</param>
    public static Tensor Multiply(Tensor x, Parameter weight, bool byKernel = false) =>
        byKernel ? LinearFunction.Apply(x, weight) : nn.functional.linear(x, x.dtype == weight.dtype ? weight : weight.to(x.dtype));

    private static Parameter Own(Tensor values)
    {
        // Parameter takes over the tensor's handle.
        var parameter = new Parameter(values);
        parameter.DetachFromDisposeScope();
        return parameter;
    }
}
