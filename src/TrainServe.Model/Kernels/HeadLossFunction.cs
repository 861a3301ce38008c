using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TrainServe.Model.Kernels;

// N positions, C width, V vocabulary.

/// <summary>Head and loss in one, some positions at a time: gradients are computed on the way, so that no [N, V] logits are kept. Twin: <see cref="Transformer.Head"/> with <see cref="CrossEntropy"/>.</summary>
/// <remarks>Positions without a target cost nothing. Logits are in the type that is multiplied, sums single precision.</remarks>
internal sealed unsafe class HeadLossFunction : autograd.SingleTensorFunction<HeadLossFunction>
{
    // Logits at once: a few MB, which a core's cache holds; on a GPU as many as keep it busy.
    private const int LogitsAtOnce = 1 << 21, LogitsAtOnceOnGpu = 1 << 26;
    // Each piece reads the whole weight and adds to its whole gradient, which a large vocabulary makes dear.
    private const int RowsAtLeast = 256;
    private const string GradientsKey = "gradients";

    /// <inheritdoc/>
    public override string Name => nameof(HeadLossFunction);

    /// <param name="hidden">Single precision, any shape that ends in C.</param>
    /// <param name="weight">[V, C]</param>
    /// <param name="targets">Ids, int64, or <see cref="CrossEntropy.IgnoreIndex"/>; as many as hidden has positions.</param>
    /// <param name="regularization">Label smoothing and z-loss.</param>
    /// <param name="matrices">What is multiplied: bfloat16 or single precision.</param>
    /// <param name="byKernel">Whether the kernel takes the losses; otherwise libtorch's operators, on any device.</param>
    /// <param name="memory">Where the weight's gradient and its copy have their places; null for fresh ones.</param>
    /// <returns>The sum of the losses, [], owned by the caller.</returns>
    public static Tensor Sum(Tensor hidden, Tensor weight, Tensor targets, LossRegularization regularization, ScalarType matrices, bool byKernel = true, StepMemory? memory = null)
    {
        if (is_grad_enabled() && (hidden.requires_grad || weight.requires_grad))
        {
            var owner = memory is not null && weight is Parameter parameter && StepMemory.Owns(parameter) ? new Owner(parameter, memory) : null;
            return apply(hidden, weight, targets, regularization, new Manner(matrices, byKernel, owner));
        }
        using var noGradient = no_grad();
        return Compute(hidden, weight, targets, regularization, new Manner(matrices, byKernel, null), wantsGradient: false).Sum;
    }

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext context, params object[] inputs)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var manner = (Manner)inputs[4];
        var (sum, hidden, weight) = Compute((Tensor)inputs[0], (Tensor)inputs[1], (Tensor)inputs[2], (LossRegularization)inputs[3], manner, wantsGradient: true);
        context.save_data(GradientsKey, new Gradients(hidden!.DetachFromDisposeScope(), weight!.DetachFromDisposeScope(), hidden!.shape, manner.Owner));
        return sum.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override List<Tensor> backward(autograd.AutogradContext context, Tensor gradient)
    {
        using var noGradient = no_grad();
        var gradients = (Gradients)context.get_data(GradientsKey);
        if (gradients.Hidden.IsInvalid)
        {
            return SpentGradients.Of(gradients.Shape, inputs: 5);
        }
        using var hidden = gradients.Hidden;
        if (gradients.Owner is { } owner)
        {
            using var scope = NewDisposeScope();
            owner.Memory.AddGradient(owner.Weight, gradients.Weight, gradient.item<float>());
            owner.Memory.Return(gradients.Weight);
            return [(hidden * gradient).MoveToOuterDisposeScope(), null!, null!, null!, null!];
        }
        using var weight = gradients.Weight;
        return [hidden * gradient, weight * gradient, null!, null!, null!];
    }

    private static (Tensor Sum, Tensor? HiddenGradient, Tensor? WeightGradient) Compute(Tensor hidden, Tensor weight, Tensor targets, LossRegularization regularization, Manner manner, bool wantsGradient)
    {
        using var scope = NewDisposeScope();
        var (type, owner) = (manner.Matrices, manner.Owner);
        long width = weight.shape[1], vocabulary = weight.shape[0];
        var targetsN = targets.reshape(-1).contiguous();
        var hiddenNC = hidden.detach().reshape(-1, width).to(type);
        var places = targetsN.ge(LiveScalar.Of(0)).nonzero().view(-1);
        bool isSparse = places.shape[0] < targetsN.shape[0];
        if (isSparse)
        {
            (targetsN, hiddenNC) = (targetsN.index_select(0, places), hiddenNC.index_select(0, places));
        }
        Tensor weightVC = owner is null ? weight.detach().to(type) : owner.Memory.Values(owner.Weight, type), losses = empty(targetsN.shape[0], ScalarType.Float32, hidden.device);
        Tensor? hiddenGradient = wantsGradient ? empty(hiddenNC.shape, ScalarType.Float32, hidden.device) : null;
        int step = (int)Math.Max(RowsAtLeast, (hidden.device.type == TorchSharp.DeviceType.CPU ? LogitsAtOnce : LogitsAtOnceOnGpu) / vocabulary), count = (int)targetsN.shape[0];
        // One piece's product needs no sum.
        bool isWhole = owner is not null && count <= step && count > 0;
        var weightGradient = !wantsGradient ? null : owner is null ? zeros(weight.shape, ScalarType.Float32, hidden.device) : owner.Memory.Rent(vocabulary, width, isWhole ? type : ScalarType.Float32);
        if (owner is not null && count == 0)
        {
            weightGradient!.zero_();
        }
        for (int from = 0; from < count; from += step)
        {
            using var inner = NewDisposeScope();
            int rows = Math.Min(step, count - from);
            var chunkNC = hiddenNC.narrow(0, from, rows);
            var logitsNV = manner.Product(chunkNC, weightVC.t());
            if (manner.ByKernel)
            {
                ByKernel(logitsNV, (long*)Lanes.Pointer(targetsN) + from, (float*)Lanes.Pointer(losses) + from, regularization, wantsGradient);
            }
            else
            {
                ByOperators(logitsNV, targetsN.narrow(0, from, rows), losses.narrow(0, from, rows), regularization, wantsGradient);
            }
            if (wantsGradient)
            {
                hiddenGradient!.narrow(0, from, rows).copy_(manner.Product(logitsNV, weightVC));
                if (isWhole)
                {
                    MatrixProduct.Write(weightGradient!, logitsNV.t(), chunkNC);
                }
                else if (owner is not null)
                {
                    owner.Memory.AddProduct(weightGradient!, logitsNV, chunkNC, adds: from > 0);
                }
                else
                {
                    weightGradient!.add_(manner.Product(logitsNV.t(), chunkNC), LiveScalar.Of(1));
                }
            }
        }
        if (wantsGradient)
        {
            var whole = isSparse ? zeros(hidden.numel() / width, width, ScalarType.Float32, hidden.device).index_copy_(0, places, hiddenGradient!) : hiddenGradient!;
            hiddenGradient = whole.view(hidden.shape).MoveToOuterDisposeScope();
            if (owner is null)
            {
                weightGradient!.MoveToOuterDisposeScope();
            }
        }
        return (losses.sum().MoveToOuterDisposeScope(), hiddenGradient, weightGradient);
    }

    private static void ByKernel(Tensor logitsNV, long* targets, float* losses, LossRegularization regularization, bool wantsGradient)
    {
        var (rows, vocabulary) = ((int)logitsNV.shape[0], (int)logitsNV.shape[1]);
        if (logitsNV.dtype == ScalarType.BFloat16)
        {
            CrossEntropyKernel<BFloat16>.Run(Lanes.Of<BFloat16>(logitsNV), targets, losses, rows, vocabulary, regularization, wantsGradient);
        }
        else
        {
            CrossEntropyKernel<Float32>.Run(Lanes.Of<Float32>(logitsNV), targets, losses, rows, vocabulary, regularization, wantsGradient);
        }
    }

    // As the kernel: losses are written, and the gradient in place of the logits. Every position has a target.
    private static void ByOperators(Tensor logitsNV, Tensor targetsN, Tensor lossesN, LossRegularization regularization, bool wantsGradient)
    {
        double smoothing = regularization.LabelSmoothing, zLoss = regularization.ZLoss;
        Tensor wideNV = logitsNV.to(ScalarType.Float32), logSumN1 = wideNV.logsumexp(-1, keepdim: true), targetsN1 = targetsN.unsqueeze(1);
        var lossN1 = logSumN1 - wideNV.gather(1, targetsN1) * LiveScalar.Of(1 - smoothing);
        if (regularization.IsOn)
        {
            lossN1 = (lossN1 - wideNV.mean([1], keepdim: true) * LiveScalar.Of(smoothing)).Plus(logSumN1 * logSumN1 * LiveScalar.Of(zLoss));
        }
        lossesN.copy_(lossN1.squeeze(1));
        if (!wantsGradient)
        {
            return;
        }
        var gradientNV = (wideNV - logSumN1).exp_();
        if (regularization.IsOn)
        {
            gradientNV.mul_((logSumN1 * LiveScalar.Of(2 * zLoss)).Plus(1)).sub_(LiveScalar.Of(smoothing / logitsNV.shape[1]));
        }
        gradientNV.scatter_add_(1, targetsN1, ones_like(logSumN1) * LiveScalar.Of(smoothing - 1));
        logitsNV.copy_(gradientNV);
    }

    // Of the sum of the losses; the weight's is the memory's where it has an owner.
    private sealed record Gradients(Tensor Hidden, Tensor Weight, long[] Shape, Owner? Owner);

    private sealed record Owner(Parameter Weight, StepMemory Memory);

    // How it is computed.
    private sealed record Manner(ScalarType Matrices, bool ByKernel, Owner? Owner)
    {
        public Tensor Product(Tensor left, Tensor right) => ByKernel ? MatrixProduct.Of(left, right) : mm(left, right);
    }
}
