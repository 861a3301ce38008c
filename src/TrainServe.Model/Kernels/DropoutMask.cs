using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace TrainServe.Model.Kernels;

/// <summary>Which elements dropout keeps, as a function of a seed and of the element's place: backward asks again instead of remembering.</summary>
/// <remarks>An integer hash (Chris Wellons' lowbias32, then one more round with the seed's second half) compared with the probability.</remarks>
internal readonly struct DropoutMask
{
    private readonly uint _first, _second, _limit;
    private readonly float _scale;

    /// <param name="probability">Of dropping an element; 0 keeps all of them.</param>
    /// <param name="seed">Of this place in the network and this pass.</param>
    public DropoutMask(double probability, ulong seed)
    {
        (_first, _second) = ((uint)seed, (uint)(seed >> 32));
        _limit = (uint)(probability * 4294967296.0);
        _scale = (float)(1 / (1 - probability));
    }

    public bool IsOn => _limit > 0;

    /// <summary>16 elements, scaled where they are kept, 0 where they are dropped.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<float> Apply(Vector512<float> values, int index)
    {
        var x = (Vector512.Create(index) + Lanes.Indices).AsUInt32() ^ Vector512.Create(_first);
        x ^= x >> 16;
        x *= Vector512.Create(0x7FEB352Du);
        x ^= x >> 15;
        x *= Vector512.Create(0x846CA68Bu);
        x ^= (x >> 16) ^ Vector512.Create(_second);
        x *= Vector512.Create(0x9E3779B1u);
        x ^= x >> 15;
        return Vector512.ConditionalSelect(Vector512.GreaterThanOrEqual(x, Vector512.Create(_limit)).AsSingle(), values * _scale, Vector512<float>.Zero);
    }
}
