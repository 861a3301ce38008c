using TorchSharp;

namespace TrainServe.Model;

/// <summary>Numbers for libtorch's operators that the garbage collector cannot take away in the middle of a call.</summary>
/// <remarks>
/// TorchSharp turns a number into an object with a finalizer and hands only its handle to libtorch; nothing keeps the object alive during the call, so that a collection on another
/// thread can free it there ("Expected false to be true" from Scalar.h). Here the last few thousand are remembered.
/// </remarks>
public static class LiveScalar
{
    private static readonly Scalar?[] Recent = new Scalar?[1 << 13];
    private static int _next;

    public static Scalar Of(double value) => Keep(value);

    public static Scalar Of(long value) => Keep(value);

    private static Scalar Keep(Scalar scalar)
    {
        Recent[(uint)Interlocked.Increment(ref _next) % (uint)Recent.Length] = scalar;
        return scalar;
    }
}
