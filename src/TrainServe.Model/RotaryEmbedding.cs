using TorchSharp;
using static TorchSharp.torch;

namespace TrainServe.Model;

// B batch, T time, P positions, N heads, D head size.

/// <summary>Rotary position embedding in Hugging Face's layout: component i of a head's first half turns with component i of its second half.</summary>
/// <remarks>
/// Su et al. 2021, arXiv:2104.09864, with the angle p * theta^(-2i/D). Angles are computed once in double precision for every position, so that a
/// position far from 0 is as exact as a near one.
/// </remarks>
public sealed class RotaryEmbedding : IDisposable
{
    private readonly Tensor _cosPD, _sinPD;

    public RotaryEmbedding(int positions, int headDim, double theta, ScalarType dtype, Device device)
    {
        int half = headDim / 2;
        double[] cos = new double[(long)positions * half], sin = new double[(long)positions * half];
        for (int i = 0; i < half; i++)
        {
            double frequency = Math.Pow(theta, -2.0 * i / headDim);
            for (int position = 0; position < positions; position++)
            {
                (sin[position * half + i], cos[position * half + i]) = Math.SinCos(position * frequency);
            }
        }
        _cosPD = Table(cos);
        _sinPD = Table(sin);

        Tensor Table(double[] values)
        {
            using var scope = NewDisposeScope();
            return tensor(values, [positions, half]).to(dtype).to(device).DetachFromDisposeScope();
        }
    }

    /// <summary>Cosines of every position, [P, D/2].</summary>
    internal Tensor Cos => _cosPD;

    /// <summary>Sines of every position, [P, D/2].</summary>
    internal Tensor Sin => _sinPD;

    public void Dispose()
    {
        _cosPD.Dispose();
        _sinPD.Dispose();
    }

    /// <summary>The rows of both tables for a run of positions: [T, 1, D/2], to be broadcast over batch and heads.</summary>
    internal (Tensor Cos, Tensor Sin) Run(long start, long length) =>
        (_cosPD.narrow(0, start, length).unsqueeze(1), _sinPD.narrow(0, start, length).unsqueeze(1));

    /// <summary>The rows of both tables for given positions: [B, T, 1, D/2].</summary>
    internal (Tensor Cos, Tensor Sin) At(Tensor positionsBT)
    {
        var flat = positionsBT.flatten();
        long[] shape = [positionsBT.shape[0], positionsBT.shape[1], 1, _cosPD.shape[1]];
        return (_cosPD.index_select(0, flat).view(shape), _sinPD.index_select(0, flat).view(shape));
    }

    /// <summary>Turns every head of <paramref name="xBTND"/> by its position's angles.</summary>
    /// <returns>[B, T, N, D], owned by the caller.</returns>
    internal static Tensor Rotate(Tensor xBTND, Tensor cos, Tensor sin)
    {
        using var scope = NewDisposeScope();
        long half = xBTND.shape[3] / 2;
        Tensor first = xBTND.narrow(3, 0, half), second = xBTND.narrow(3, half, half);
        var turned = cat([first * cos - second * sin, (second * cos).Plus(first * sin)], 3);
        return (turned.dtype == xBTND.dtype ? turned : turned.to(xBTND.dtype)).MoveToOuterDisposeScope();
    }
}
