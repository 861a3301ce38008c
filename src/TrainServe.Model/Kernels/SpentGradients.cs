using static TorchSharp.torch;

namespace TrainServe.Model.Kernels;

/// <summary>What a second backward pass gives, when what it needs is gone: no numbers, so that the step is refused. An exception cannot pass through libtorch; it would end the process.</summary>
internal static class SpentGradients
{
    /// <param name="shape">Of the first input.</param>
    /// <param name="inputs">How many the function has.</param>
    public static List<Tensor> Of(long[] shape, int inputs) => [full(shape, LiveScalar.Of(double.NaN), ScalarType.Float32).DetachFromDisposeScope(), .. Enumerable.Repeat<Tensor>(null!, inputs - 1)];
}
