using TrainServe.Model.Generation;
using static TorchSharp.torch;

namespace TrainServe.Model;

/// <summary>What every layer's attention shares in one pass.</summary>
/// <param name="Cos">Cosines of the rotary angles, broadcast to [B, T, N, D/2].</param>
/// <param name="Sin">Sines of the same.</param>
/// <param name="Mask">True where a query may see a key, broadcast to [B, H, T, S]; null where causality alone decides.</param>
/// <param name="IsCausal">Query t sees keys 0..t, and T = S. False with a mask, and for a single query, which sees everything before it.</param>
/// <param name="Cache">Keys and values of earlier tokens, or null.</param>
/// <param name="Matrices">In what the matrices multiply.</param>
/// <param name="IsSampled">Nobody wants gradients of the pass, and its products may be <see cref="Kernels.LinearFunction"/>'s.</param>
internal sealed record AttentionContext(Tensor Cos, Tensor Sin, Tensor? Mask, bool IsCausal, TorchKvCache? Cache, ScalarType Matrices, bool IsSampled);
