using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace TrainServe.Model;

// B batch, T time, C width.

/// <summary>x / sqrt(mean(x^2) + eps) * weight, over the width.</summary>
/// <remarks>Zhang and Sennrich 2019, arXiv:1910.07467. Half precision is widened to single for the mean, as Hugging Face's LlamaRMSNorm does.</remarks>
public sealed class RmsNorm : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "weight")]
    private readonly Parameter _weight;
    private readonly float _epsilon;

    public RmsNorm(long width, float epsilon, ScalarType dtype, Device device) : base(nameof(RmsNorm))
    {
        _epsilon = epsilon;
        _weight = WeightTensors.Ones([width], dtype, device);
        RegisterComponents();
    }

    /// <summary>[C]</summary>
    internal Parameter Weight => _weight;
    internal float Epsilon => _epsilon;

    /// <param name="xBTC">[B, T, C], or any shape that ends in C.</param>
    /// <returns>The same shape, owned by the caller.</returns>
    public override Tensor forward(Tensor xBTC)
    {
        using var scope = NewDisposeScope();
        bool half = xBTC.dtype is ScalarType.BFloat16 or ScalarType.Float16;
        var wideBTC = half ? xBTC.to(ScalarType.Float32) : xBTC;
        var inverseBT1 = wideBTC.Squared().mean([-1], keepdim: true).Plus(_epsilon).rsqrt();
        var normalBTC = wideBTC * inverseBT1;
        return ((half ? normalBTC.to(xBTC.dtype) : normalBTC) * _weight).MoveToOuterDisposeScope();
    }
}
