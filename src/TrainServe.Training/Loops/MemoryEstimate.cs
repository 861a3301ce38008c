using TorchSharp;
using TrainServe.Core;
using TrainServe.Model;

namespace TrainServe.Training.Loops;

/// <summary>What a run will need in memory, in bytes: an estimate from the shapes, without libtorch itself (about 0.2 GB).</summary>
/// <param name="WeightsBytes">Weights, gradients and both moments, four bytes each.</param>
/// <param name="ActivationsBytes">What forward keeps for backward, for one micro-batch, with the gradients in flight.</param>
public sealed record MemoryEstimate(long WeightsBytes, long ActivationsBytes)
{
    // Peaks of real runs of 3 million weights, 4,096 and 8,192 tokens at once, are 1.2 to 1.35 times what is counted here: gradients in flight, and what the allocator keeps in reserve.
    private const double GradientsInFlight = 1.25;

    public long TotalBytes => WeightsBytes + ActivationsBytes;

    /// <param name="config">The model.</param>
    /// <param name="rows">Of a micro-batch, B.</param>
    /// <param name="columns">Tokens of a row, T.</param>
    /// <param name="kernels">What computes the step; libtorch's operators when null.</param>
    /// <param name="activationCheckpointing">Whether blocks keep only their inputs.</param>
    /// <param name="drops">Whether there is dropout.</param>
    public static MemoryEstimate Of(ModelConfig config, int rows, int columns, TrainingKernels? kernels = null, bool activationCheckpointing = false, bool drops = false)
    {
        long tokens = (long)rows * columns;
        long activations = kernels is { IsFast: true } ? Fast(config, tokens, kernels.Matrices.ElementSize(), activationCheckpointing) : Plain(config, tokens, activationCheckpointing, drops);
        // Of blocks that are computed again all gradients in flight are counted, and nothing is kept in reserve (NativeAllocator): 16,384 tokens at once through 12 layers take 1.02 times as much.
        return new MemoryEstimate(16 * config.ParameterCount, (long)((activationCheckpointing ? 1 : GradientsInFlight) * activations));
    }

    // Single precision throughout.
    private static long Plain(ModelConfig config, long tokens, bool recomputes, bool drops)
    {
        long width = config.HiddenSize, query = Query(config);
        // A block keeps: two norms with their inputs, query-key-value before and after rotation, keys and values repeated for every head, attention's
        // output, gate and up, their product, and both sums.
        long perLayer = 6 * width + 2 * Heads(config) + 4 * query + 4L * config.IntermediateSize;
        // Dropout behind attention and behind the network keeps what it makes and a mask of one byte a value; the fast step draws its masks again.
        perLayer += drops ? 2 * (width + width / 4) : 0;
        // Logits, their softmax, and its gradient.
        long head = 3L * config.VocabSize + 2 * width;
        // With every block's input there is either the head, or one block that was computed again.
        long blocks = recomputes ? config.NumHiddenLayers * width + Math.Max(perLayer, head) : config.NumHiddenLayers * perLayer + head;
        return 4 * tokens * blocks;
    }

    // Streams are single precision, what a block computes is of the size of its type; logits are never kept.
    private static long Fast(ModelConfig config, long tokens, long size, bool recomputes)
    {
        long width = config.HiddenSize, inner = config.IntermediateSize;
        // A block keeps: both streams, both normalised, query-key-value, attention's output, gate and up.
        long perLayer = 2 * 4 * width + size * (2 * width + Heads(config) + Query(config) + 2 * inner);
        // One block's gradients: gate, up and their product, query-key-value, attention's output, streams and normalised. And the head's input with its gradient.
        long once = size * (3 * inner + Heads(config) + Query(config) + 3 * width) + 3 * 4 * width + 3 * 4 * width;
        long blocks = recomputes ? config.NumHiddenLayers * 4 * width + perLayer : config.NumHiddenLayers * perLayer;
        // Weights in the other type, or the head's gradient before it is scaled.
        long copies = size == 2 ? 2 * config.ParameterCount : 4L * config.VocabSize * width;
        return tokens * (blocks + once) + copies;
    }

    private static long Heads(ModelConfig config) => (long)(config.NumAttentionHeads + 2 * config.NumKeyValueHeads) * config.HeadDim;

    private static long Query(ModelConfig config) => (long)config.NumAttentionHeads * config.HeadDim;
}
