using System.Runtime.Intrinsics;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TrainServe.Model.Kernels;

// B batch, T time, C width, V vocabulary.

/// <summary>The embedding, whose gradient is added to the rows that were read, not made as a table of zeros first. Twin: <see cref="TokenEmbedding"/>.</summary>
internal sealed unsafe class EmbeddingFunction : autograd.SingleTensorFunction<EmbeddingFunction>
{
    private const string CallKey = "call";

    /// <inheritdoc/>
    public override string Name => nameof(EmbeddingFunction);

    /// <param name="table">[V, C]; <see cref="StepMemory.Owns"/> is true for it.</param>
    /// <param name="idsBT">int64, [B, T].</param>
    /// <param name="memory">Has the gradient's place.</param>
    /// <returns>[B, T, C], owned by the caller.</returns>
    public static Tensor Apply(Parameter table, Tensor idsBT, StepMemory memory) => apply(table, new Call(table, idsBT.contiguous().DetachFromDisposeScope(), memory));

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext context, params object[] inputs)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var call = (Call)inputs[1];
        context.save_data(CallKey, call);
        return call.Table.detach().index_select(0, call.Ids.view(-1)).view(call.Ids.shape[0], call.Ids.shape[1], -1).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override List<Tensor> backward(autograd.AutogradContext context, Tensor gradient)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var (table, ids, memory) = (Call)context.get_data(CallKey);
        var (sum, isNew) = memory.Gradient(table);
        if (isNew)
        {
            sum.zero_();
        }
        if (ids.IsInvalid)
        {
            // A second backward pass: no numbers, so that the step is refused.
            sum.fill_(LiveScalar.Of(double.NaN));
        }
        else
        {
            AddRows((float*)Lanes.Pointer(sum), (float*)Lanes.Pointer(gradient.contiguous()), (long*)Lanes.Pointer(ids), ids.numel(), table.shape[1]);
            ids.Dispose();
        }
        return [null!, null!];
    }

    private static void AddRows(float* table, float* gradient, long* ids, long tokens, long width)
    {
        for (long token = 0; token < tokens; token++)
        {
            float* row = table + ids[token] * width;
            for (long i = 0; i < width; i += Lanes.Count)
            {
                (Vector512.Load(row + i) + Vector512.Load(gradient + token * width + i)).Store(row + i);
            }
        }
    }

    private sealed record Call(Parameter Table, Tensor Ids, StepMemory Memory);
}
