using TorchSharp.Modules;
using TrainServe.Core.Random;
using static TorchSharp.torch;

namespace TrainServe.Model.Kernels;

// B batch, T time, C width, F inner width, H query heads, K key-value heads, D head size.

/// <summary>What the fast blocks of one pass share.</summary>
/// <param name="Cos">Cosines of the rotary angles from position 0, contiguous, [positions, D / 2].</param>
/// <param name="Sin">Sines of the same.</param>
/// <param name="First">For each token the first of its text in its row, [B, T]; null where a row is one text.</param>
/// <param name="Dropout">Probability, 0 when evaluating.</param>
/// <param name="Seed">Of this pass's dropout.</param>
internal sealed record BlockPass(Tensor Cos, Tensor Sin, int[]? First, double Dropout, ulong Seed)
{
    /// <summary>The mask of one of a block's two additions.</summary>
    public DropoutMask Mask(int layer, int addition) =>
        Dropout > 0 ? new DropoutMask(Dropout, new PhiloxRandom(Seed, (ulong)(2 * layer + addition)).NextUInt64()) : default;

    /// <summary>From document numbers to the place where each token's document begins.</summary>
    /// <param name="documentsBT">Equal within a document and different between neighbours, int64, [B, T].</param>
    public static int[] FirstOf(Tensor documentsBT)
    {
        long batch = documentsBT.shape[0], time = documentsBT.shape[1];
        using var contiguous = documentsBT.contiguous();
        long[] documents = contiguous.data<long>().ToArray();
        int[] first = new int[documents.Length];
        for (int row = 0; row < batch; row++)
        {
            for (int t = 1; t < time; t++)
            {
                long i = row * time + t;
                first[i] = documents[i] == documents[i - 1] ? first[i - 1] : t;
            }
        }
        return first;
    }
}

/// <summary>One block's place and shape, in what its matrices are multiplied, and the step's memory; null where nothing is kept from step to step.</summary>
internal sealed record BlockCall(BlockPass Pass, int Layer, int Heads, int KeyValueHeads, int HeadDim, float Epsilon, ScalarType Matrices, StepMemory? Memory = null)
{
    /// <summary>Whether only the block's input is kept for the backward pass.</summary>
    public bool Recomputes { get; init; }
}

/// <summary>A matrix of a block: in the type that is multiplied, and the weight itself if its gradient is the step memory's to write.</summary>
internal readonly record struct Matrix(Tensor Values, Parameter? Owned)
{
    public static Matrix Of(Tensor weight, ScalarType type, StepMemory? memory) => memory is not null && weight is Parameter parameter && StepMemory.Owns(parameter)
        ? new Matrix(memory.Values(parameter, type), parameter)
        : new Matrix(weight.detach().to(type), null);
}
