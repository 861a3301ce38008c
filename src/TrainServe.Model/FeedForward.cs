using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using TrainServe.Core;
using static TorchSharp.torch;

namespace TrainServe.Model;

// B batch, T time, C width, F inner width.

/// <summary>SwiGLU: down(silu(gate(x)) * up(x)).</summary>
/// <remarks>Shazeer 2020, arXiv:2002.05202. Gate and up are one matrix here, so that one multiplication makes both; they are stored apart.</remarks>
public sealed class FeedForward : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "gate_up")]
    private readonly Parameter _gateUp;
    [ComponentName(Name = "down")]
    private readonly Parameter _down;

    public FeedForward(ModelConfig config, ScalarType dtype, Device device) : base(nameof(FeedForward))
    {
        _gateUp = WeightTensors.Zeros([2L * config.IntermediateSize, config.HiddenSize], dtype, device);
        _down = WeightTensors.Zeros([config.HiddenSize, config.IntermediateSize], dtype, device);
        RegisterComponents();
    }

    /// <summary>[2F, C]: the gate's rows, then those of up.</summary>
    internal Parameter GateUp => _gateUp;

    /// <summary>[C, F]</summary>
    internal Parameter Down => _down;

    /// <returns>[B, T, C], owned by the caller.</returns>
    public override Tensor forward(Tensor xBTC) => Forward(xBTC, isSampled: false);

    /// <inheritdoc cref="forward"/>
    /// <param name="xBTC">Normalised input.</param>
    /// <param name="isSampled">See <see cref="AttentionContext"/>.</param>
    internal Tensor Forward(Tensor xBTC, bool isSampled)
    {
        using var scope = NewDisposeScope();
        var gateUpBTF = WeightTensors.Multiply(xBTC, _gateUp, isSampled).chunk(2, dim: -1);
        var innerBTF = nn.functional.silu(gateUpBTF[0]) * gateUpBTF[1];
        return WeightTensors.Multiply(innerBTF, _down, isSampled).MoveToOuterDisposeScope();
    }
}
