using System.Runtime.InteropServices;
using TorchSharp.Modules;
using TrainServe.Core.Packaging;
using TrainServe.Model;
using TrainServe.Training.Recipes;
using static TorchSharp.torch;

namespace TrainServe.Training.Optimization;

// g gradient, m first moment, v second moment, p weight.

/// <summary>Adam with decoupled weight decay, in place, one weight after the other: in one pass where there is a kernel for it, on a GPU by libtorch's fused one, otherwise by libtorch's operators.</summary>
/// <remarks>
/// With optimizer.kind muon the blocks' matrices are left to <see cref="Muon"/>, which has one moment. Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2. Weights of two or more dimensions decay, embeddings and head included, as in nanoGPT; norms,
/// which have one, do not. The gradients are not changed: clipping is a factor on them.
/// </remarks>
public sealed class AdamW : IDisposable
{
    private readonly double _beta1, _beta2, _epsilon, _weightDecay, _muonMomentum;
    private readonly Slot[] _slots;

    /// <param name="parameters">Weights that require a gradient, with their names.</param>
    /// <param name="settings">Betas, epsilon and decay, and whether hidden matrices are Muon's.</param>
    /// <param name="matrixParts">For Muon: <see cref="Model.Transformer.MatrixParts"/>.</param>
    /// <exception cref="ArgumentNullException">Muon needs the parts.</exception>
    public AdamW(IEnumerable<(string Name, Parameter Weight)> parameters, OptimizerSection settings, Func<string, IReadOnlyList<long>?>? matrixParts = null)
    {
        bool isMuon = settings.Kind == OptimizerKind.Muon;
        if (isMuon)
        {
            ArgumentNullException.ThrowIfNull(matrixParts);
        }
        (_beta1, _beta2, _epsilon, _weightDecay, _muonMomentum) = (settings.Beta1, settings.Beta2, settings.Epsilon, settings.WeightDecay, settings.MuonMomentum);
        using var scope = NewDisposeScope();
        _slots = [.. parameters.Select(parameter => (parameter.Name, parameter.Weight, Parts: isMuon ? matrixParts!(parameter.Name) : null)).Select(parameter => new Slot(
            parameter.Name,
            parameter.Weight,
            zeros_like(parameter.Weight).DetachFromDisposeScope(),
            parameter.Parts is null ? zeros_like(parameter.Weight).DetachFromDisposeScope() : null,
            parameter.Weight.dim() >= 2,
            parameter.Parts))];
    }

    /// <summary>Updates made so far; the moments' bias is corrected by it.</summary>
    public long Updates { get; private set; }

    /// <summary>Names of the weights that decay.</summary>
    public IEnumerable<string> Decaying => _slots.Where(slot => slot.Decays).Select(slot => slot.Name);

    /// <summary>One update of every weight that has a gradient.</summary>
    /// <param name="learningRate">Of this step.</param>
    /// <param name="gradientScale">What to multiply every gradient by.</param>
    public void Update(double learningRate, double gradientScale = 1)
    {
        using var noGradient = no_grad();
        Updates++;
        double correction1 = 1 - Math.Pow(_beta1, Updates), correction2 = 1 - Math.Pow(_beta2, Updates);
        var factors = new AdamWFactors((float)_beta1, (float)_beta2, (float)_epsilon, (float)gradientScale, (float)(learningRate / correction1), (float)(1 / Math.Sqrt(correction2)));
        UpdateOnGpu(learningRate, gradientScale);
        foreach (var slot in _slots)
        {
            using var scope = NewDisposeScope();
            var gradient = IsFused(slot) ? null : slot.Weight.grad;
            if (gradient is null)
            {
                continue;
            }
            if (slot.SecondMoment is null)
            {
                Muon.Update(slot.Weight, slot.FirstMoment, gradient, slot.MatrixParts!, gradientScale, _muonMomentum, learningRate, _weightDecay);
                continue;
            }
            if (AdamWKernel.Supports(slot.Weight) && AdamWKernel.Supports(gradient))
            {
                AdamWKernel.Update(slot.Weight, slot.FirstMoment, slot.SecondMoment, gradient, factors, slot.Decays ? (float)(1 - learningRate * _weightDecay) : 1);
                continue;
            }
            slot.FirstMoment.mul_(LiveScalar.Of(_beta1)).add_(gradient, alpha: LiveScalar.Of((1 - _beta1) * gradientScale));
            slot.SecondMoment.mul_(LiveScalar.Of(_beta2)).addcmul_(gradient, gradient, value: LiveScalar.Of((1 - _beta2) * gradientScale * gradientScale));
            if (slot.Decays && _weightDecay > 0)
            {
                slot.Weight.mul_(LiveScalar.Of(1 - learningRate * _weightDecay));
            }
            var denominator = slot.SecondMoment.sqrt().mul_(LiveScalar.Of(1 / Math.Sqrt(correction2))).add_(LiveScalar.Of(_epsilon), LiveScalar.Of(1));
            slot.Weight.addcdiv_(slot.FirstMoment, denominator, value: LiveScalar.Of(-learningRate / correction1));
        }
    }

    private static bool IsFused(Slot slot) => slot.SecondMoment is not null && slot.Weight.device.type == TorchSharp.DeviceType.CUDA;

    private void UpdateOnGpu(double learningRate, double gradientScale)
    {
        using var scope = NewDisposeScope();
        foreach (var group in _slots.Where(IsFused).Select(slot => (Slot: slot, Gradient: slot.Weight.grad)).Where(pair => pair.Gradient is not null).GroupBy(pair => pair.Slot.Decays))
        {
            FusedAdamW.Update([.. group.Select(pair => pair.Slot.Weight)], [.. group.Select(pair => pair.Gradient!)], [.. group.Select(pair => pair.Slot.FirstMoment)], [.. group.Select(pair => pair.Slot.SecondMoment!)],
                Updates, learningRate, _beta1, _beta2, group.Key ? _weightDecay : 0, _epsilon, gradientScale);
        }
    }

    /// <summary>Both moments of every weight, for a checkpoint.</summary>
    /// <remarks>Read when a tensor's turn to be written comes.</remarks>
    public IReadOnlyList<SafeTensor> Save() =>
        [.. _slots.SelectMany(slot => slot.SecondMoment is { } second
            ? new[] { Stored("m." + slot.Name, slot.FirstMoment), Stored("v." + slot.Name, second) }
            : [Stored("m." + slot.Name, slot.FirstMoment)])];

    /// <summary>Restores what <see cref="Save"/> wrote.</summary>
    /// <param name="tensors">The file.</param>
    /// <param name="updates">The count at that time.</param>
    /// <exception cref="InvalidDataException">A moment is missing or of another size.</exception>
    public void Load(SafeTensorsReader tensors, long updates)
    {
        using var noGradient = no_grad();
        foreach (var slot in _slots)
        {
            Restore(tensors, "m." + slot.Name, slot.FirstMoment);
            if (slot.SecondMoment is { } second)
            {
                Restore(tensors, "v." + slot.Name, second);
            }
        }
        Updates = updates;
    }

    public void Dispose()
    {
        foreach (var slot in _slots)
        {
            slot.FirstMoment.Dispose();
            slot.SecondMoment?.Dispose();
        }
    }

    private static SafeTensor Stored(string name, Tensor values) => new(name, SafeTensorType.F32, values.shape, stream =>
    {
        using var scope = NewDisposeScope();
        stream.Write(values.to(ScalarType.Float32).cpu().contiguous().bytes);
    });

    private static void Restore(SafeTensorsReader tensors, string name, Tensor destination)
    {
        using var scope = NewDisposeScope();
        if (!tensors.Entries.TryGetValue(name, out var entry) || !entry.Shape.SequenceEqual(destination.shape))
        {
            throw new InvalidDataException($"{tensors.Path}: {name} is missing or has another shape than [{string.Join(", ", destination.shape)}].");
        }
        var values = zeros(destination.shape, ScalarType.Float32);
        tensors.CopySingles(name, MemoryMarshal.Cast<byte, float>(values.bytes));
        destination.copy_(values);
    }

    // Without a second moment the weight is Muon's.
    private sealed record Slot(string Name, Parameter Weight, Tensor FirstMoment, Tensor? SecondMoment, bool Decays, IReadOnlyList<long>? MatrixParts);
}
