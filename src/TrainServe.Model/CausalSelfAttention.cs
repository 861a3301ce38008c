using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using TrainServe.Core;
using TrainServe.Model.Generation;
using static TorchSharp.torch;

namespace TrainServe.Model;

// B batch, T time, S time including what is cached, C width, H query heads, K key-value heads, D head size.

/// <summary>Causal self-attention in which H / K query heads share one key-value head.</summary>
/// <remarks>
/// Vaswani et al. 2017, arXiv:1706.03762; grouped queries: Ainslie et al. 2023, arXiv:2305.13245. Query, key and value are one matrix here; they are
/// stored apart.
/// </remarks>
public sealed class CausalSelfAttention : nn.Module
{
    [ComponentName(Name = "qkv")]
    private readonly Parameter _qkv;
    [ComponentName(Name = "output")]
    private readonly Parameter _output;
    private readonly int _heads, _keyValueHeads, _headDim;
    private readonly double _dropout;

    public CausalSelfAttention(ModelConfig config, ScalarType dtype, Device device) : base(nameof(CausalSelfAttention))
    {
        (_heads, _keyValueHeads, _headDim, _dropout) = (config.NumAttentionHeads, config.NumKeyValueHeads, config.HeadDim, config.AttentionDropout);
        _qkv = WeightTensors.Zeros([(_heads + 2L * _keyValueHeads) * _headDim, config.HiddenSize], dtype, device);
        _output = WeightTensors.Zeros([config.HiddenSize, (long)_heads * _headDim], dtype, device);
        RegisterComponents();
    }

    /// <summary>[(H + 2K) * D, C]: the query's rows, then those of key and value.</summary>
    internal Parameter Qkv => _qkv;

    /// <summary>[C, H * D]</summary>
    internal Parameter Output => _output;

    /// <param name="xBTC">Normalised input.</param>
    /// <param name="context">Angles, mask and cache of this pass.</param>
    /// <param name="layer">Whose part of the cache this is.</param>
    /// <returns>[B, T, C], owned by the caller.</returns>
    internal Tensor Forward(Tensor xBTC, AttentionContext context, int layer)
    {
        using var scope = NewDisposeScope();
        long batch = xBTC.shape[0], time = xBTC.shape[1];
        var qkvBTND = WeightTensors.Multiply(xBTC, _qkv, context.IsSampled).view(batch, time, _heads + 2 * _keyValueHeads, _headDim);
        var qkBTND = RotaryEmbedding.Rotate(qkvBTND.narrow(2, 0, _heads + _keyValueHeads), context.Cos, context.Sin);
        var qBHTD = qkBTND.narrow(2, 0, _heads).transpose(1, 2);
        var kBKSD = qkBTND.narrow(2, _heads, _keyValueHeads).transpose(1, 2);
        var vBKSD = qkvBTND.narrow(2, _heads + _keyValueHeads, _keyValueHeads).transpose(1, 2);
        if (context.Cache is { } cache)
        {
            (kBKSD, vBKSD) = cache.Append(layer, kBKSD, vBKSD);
        }
        var yBHTD = nn.functional.scaled_dot_product_attention(qBHTD, RepeatHeads(kBKSD), RepeatHeads(vBKSD), context.Mask, training ? _dropout : 0, is_casual: context.IsCausal);
        var yBTC = yBHTD.transpose(1, 2).reshape(batch, time, (long)_heads * _headDim);
        return WeightTensors.Multiply(yBTC, _output, context.IsSampled).MoveToOuterDisposeScope();
    }

    // Query head h attends with key-value head h / (H / K).
    private Tensor RepeatHeads(Tensor xBKSD)
    {
        if (_heads == _keyValueHeads)
        {
            return xBKSD;
        }
        long batch = xBKSD.shape[0], time = xBKSD.shape[2];
        return xBKSD.unsqueeze(2).expand(batch, _keyValueHeads, _heads / _keyValueHeads, time, _headDim).reshape(batch, _heads, time, _headDim);
    }
}
