using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace TrainServe.Model;

// B batch, T time, C width.

/// <summary>One number for each position: the score of a reward model, the value of a critic. A weight, no bias.</summary>
public sealed class ScalarHead : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "weight")]
    private readonly Parameter _weight;

    public ScalarHead(long width, ScalarType dtype = ScalarType.Float32, Device? device = null) : base(nameof(ScalarHead))
    {
        _weight = WeightTensors.Zeros([1, width], dtype, device ?? CPU);
        RegisterComponents();
    }

    /// <summary>[1, C]; zero until it is initialised or loaded.</summary>
    internal Parameter Weight => _weight;

    /// <returns>[B, T], owned by the caller.</returns>
    public override Tensor forward(Tensor hiddenBTC)
    {
        using var scope = NewDisposeScope();
        return nn.functional.linear(hiddenBTC, _weight).squeeze(-1).MoveToOuterDisposeScope();
    }
}
