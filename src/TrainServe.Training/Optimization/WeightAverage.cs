using System.Runtime.InteropServices;
using TorchSharp.Modules;
using TrainServe.Core.Packaging;
using TrainServe.Model;
using static TorchSharp.torch;

namespace TrainServe.Training.Optimization;

/// <summary>An exponential moving average of the weights: what is measured and kept, while training goes on with the weights themselves.</summary>
/// <remarks>Early on it forgets faster, min(decay, (1 + n) / (10 + n)) after n updates, so that the first weights do not linger. TensorFlow's rule.</remarks>
public sealed class WeightAverage : IDisposable
{
    private const string Prefix = "average.";
    private readonly double _decay;
    private readonly (string Name, Parameter Weight, Tensor Average)[] _slots;

    /// <param name="parameters">The weights, with their names; the average begins as a copy.</param>
    /// <param name="decay">The part of the average that stays at each update.</param>
    public WeightAverage(IEnumerable<(string Name, Parameter Weight)> parameters, double decay)
    {
        _decay = decay;
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        _slots = [.. parameters.Select(parameter => (parameter.Name, parameter.Weight, parameter.Weight.detach().clone().DetachFromDisposeScope()))];
    }

    /// <summary>Takes the weights in.</summary>
    /// <param name="updates">Updates of the weights so far, this one included.</param>
    public void Update(long updates)
    {
        using var noGradient = no_grad();
        double decay = Math.Min(_decay, (1.0 + updates) / (10 + updates));
        foreach (var (_, weight, average) in _slots)
        {
            average.mul_(LiveScalar.Of(decay)).add_(weight, alpha: LiveScalar.Of(1 - decay));
        }
    }

    /// <summary>Exchanges weights and averages; a second time puts them back.</summary>
    public void Swap()
    {
        using var noGradient = no_grad();
        foreach (var (_, weight, average) in _slots)
        {
            using var kept = weight.detach().clone();
            weight.copy_(average);
            average.copy_(kept);
        }
    }

    /// <summary>The averages, for a checkpoint; read when a tensor's turn to be written comes.</summary>
    public IReadOnlyList<SafeTensor> Save() => [.. _slots.Select(slot => new SafeTensor(Prefix + slot.Name, SafeTensorType.F32, slot.Average.shape, stream =>
    {
        using var scope = NewDisposeScope();
        stream.Write(slot.Average.cpu().contiguous().bytes);
    }))];

    /// <exception cref="InvalidDataException">An average is missing or of another size.</exception>
    public void Load(SafeTensorsReader tensors)
    {
        using var noGradient = no_grad();
        foreach (var (name, _, average) in _slots)
        {
            using var scope = NewDisposeScope();
            if (!tensors.Entries.TryGetValue(Prefix + name, out var entry) || !entry.Shape.SequenceEqual(average.shape))
            {
                throw new InvalidDataException($"{tensors.Path}: {Prefix + name} is missing or has another shape than [{string.Join(", ", average.shape)}].");
            }
            var values = zeros(average.shape, ScalarType.Float32);
            tensors.CopySingles(Prefix + name, MemoryMarshal.Cast<byte, float>(values.bytes));
            average.copy_(values);
        }
    }

    public void Dispose()
    {
        foreach (var slot in _slots)
        {
            slot.Average.Dispose();
        }
    }
}
