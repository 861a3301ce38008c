using TorchSharp;
using TorchSharp.Utils;
using TrainServe.Core;
using static TorchSharp.torch;

namespace TrainServe.Model;

// B batch, T time, C width.

/// <summary>x + attention(norm(x)), then x + feedForward(norm(x)).</summary>
public sealed class TransformerBlock : nn.Module
{
    [ComponentName(Name = "attention_norm")]
    private readonly RmsNorm _attentionNorm;
    [ComponentName(Name = "attention")]
    private readonly CausalSelfAttention _attention;
    [ComponentName(Name = "feed_forward_norm")]
    private readonly RmsNorm _feedForwardNorm;
    [ComponentName(Name = "feed_forward")]
    private readonly FeedForward _feedForward;
    private readonly double _dropout;

    public TransformerBlock(ModelConfig config, double dropout, ScalarType dtype, Device device) : base(nameof(TransformerBlock))
    {
        _dropout = dropout;
        _attentionNorm = new RmsNorm(config.HiddenSize, config.RmsNormEps, dtype, device);
        _attention = new CausalSelfAttention(config, dtype, device);
        _feedForwardNorm = new RmsNorm(config.HiddenSize, config.RmsNormEps, dtype, device);
        _feedForward = new FeedForward(config, dtype, device);
        RegisterComponents();
    }

    internal RmsNorm AttentionNorm => _attentionNorm;
    internal CausalSelfAttention Attention => _attention;
    internal RmsNorm FeedForwardNorm => _feedForwardNorm;
    internal FeedForward FeedForward => _feedForward;

    /// <returns>[B, T, C], owned by the caller.</returns>
    internal Tensor Forward(Tensor xBTC, AttentionContext context, int layer)
    {
        using var scope = NewDisposeScope();
        var attendedBTC = xBTC.Plus(Dropout(_attention.Forward(In(context.Matrices, _attentionNorm.call(xBTC)), context, layer)));
        return attendedBTC.Plus(Dropout(_feedForward.Forward(In(context.Matrices, _feedForwardNorm.call(attendedBTC)), context.IsSampled))).MoveToOuterDisposeScope();
    }

    private static Tensor In(ScalarType matrices, Tensor xBTC) => xBTC.dtype == matrices ? xBTC : xBTC.to(matrices);

    private Tensor Dropout(Tensor xBTC) => training && _dropout > 0 ? nn.functional.dropout(xBTC, _dropout, training: true) : xBTC;
}
