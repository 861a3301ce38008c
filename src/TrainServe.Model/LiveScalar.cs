using TorchSharp;
using static TorchSharp.torch;

namespace TrainServe.Model;

/// <summary>Numbers for libtorch's operators that the garbage collector cannot take away in the middle of a call.</summary>
/// <remarks>
/// TorchSharp turns a number into an object with a finalizer and hands only its handle to libtorch; nothing keeps the object alive during the call, so that a collection on another
/// thread can free it there ("Expected false to be true" from Scalar.h). Here the last few thousand are remembered.
/// </remarks>
public static class LiveScalar
{
    private static readonly Scalar One = 1L, Two = 2L;
    private static readonly Scalar?[] Recent = new Scalar?[1 << 13];
    private static int _next;

    public static Scalar Of(double value) => Keep(value);

    public static Scalar Of(long value) => Keep(value);

    /// <summary>The sum: + makes a number of its own (the factor of its second term), which nothing keeps alive.</summary>
    /// <param name="left">One term.</param>
    /// <param name="right">The other, of a shape that can be broadcast.</param>
    public static Tensor Plus(this Tensor left, Tensor right) => left.add(right, One);

    /// <summary>The sum with a number.</summary>
    /// <param name="left">One term.</param>
    /// <param name="right">Is added to each element.</param>
    public static Tensor Plus(this Tensor left, double right) => left.add(Of(right), One);

    /// <summary>Each element times itself.</summary>
    /// <param name="values">Any shape.</param>
    public static Tensor Squared(this Tensor values) => values.pow(Two);

    /// <summary>The whole numbers from start, below end.</summary>
    /// <param name="start">The first.</param>
    /// <param name="end">One more than the last.</param>
    /// <param name="device">Where they are made.</param>
    public static Tensor Range(long start, long end, Device device) => arange(Of(start), Of(end), One, ScalarType.Int64, device);

    private static Scalar Keep(Scalar scalar)
    {
        Recent[(uint)Interlocked.Increment(ref _next) % (uint)Recent.Length] = scalar;
        return scalar;
    }
}
