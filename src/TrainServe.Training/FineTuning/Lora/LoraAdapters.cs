using System.Runtime.InteropServices;
using TorchSharp;
using TrainServe.Core.Packaging;
using TrainServe.Core.Random;
using TrainServe.Model;
using TrainServe.Training.Data;
using TrainServe.Training.Recipes;
using static TorchSharp.torch;
using Parameter = TorchSharp.Modules.Parameter;

namespace TrainServe.Training.FineTuning.Lora;

// W weight [out, in], A [r, in], B [out, r].

/// <summary>Low-rank adapters of a model: each weight is W + alpha / r * B A, of which only A and B are learned.</summary>
/// <remarks>
/// Hu et al. 2021, arXiv:2106.09685, with PEFT's beginnings: A uniform within 1 / sqrt(in), B zero, so that the model begins as it was. The sum is written into the model before a step, so
/// that its fast kernels run as they are; the gradient of the sum, G, gives those of the factors: alpha / r * B^T G for A and alpha / r * G A^T for B.
/// </remarks>
internal sealed class LoraAdapters : IDisposable
{
    private readonly Transformer _model;
    private readonly List<Adapter> _adapters = [];
    private readonly double _scale;

    public LoraAdapters(Transformer model, LoraSection settings, ulong seed)
    {
        (_model, _scale) = (model, settings.Alpha / settings.Rank);
        using var noGradient = no_grad();
        int number = 0;
        foreach (var (name, shape) in WeightNames.Expected(model.Config).Where(weight => settings.Targets.Any(target => weight.Name.EndsWith($".{target}.weight", StringComparison.Ordinal))))
        {
            using var scope = NewDisposeScope();
            var random = new PhiloxRandom(seed, RandomStreams.Of(RandomPurpose.FirstWeights, number++));
            double bound = 1 / Math.Sqrt(shape[1]);
            float[] first = [.. Enumerable.Range(0, settings.Rank * (int)shape[1]).Select(_ => (float)((2 * random.NextDouble() - 1) * bound))];
            _adapters.Add(new Adapter(name, StateDictAdapter.View(model, name).clone().DetachFromDisposeScope(), Own(tensor(first, [settings.Rank, shape[1]])), Own(zeros([shape[0], settings.Rank]))));
        }
    }

    /// <summary>The factors with their names, as PEFT has them.</summary>
    public IEnumerable<(string Name, Parameter Weight)> Parameters => _adapters.SelectMany(adapter => new[] { (PeftAdapter.NameOf(adapter.Name, "A"), adapter.A), (PeftAdapter.NameOf(adapter.Name, "B"), adapter.B) });

    public long ParameterCount => _adapters.Sum(adapter => adapter.A.numel() + adapter.B.numel());

    /// <summary>Writes W + alpha / r * B A into the model.</summary>
    public void Apply()
    {
        using var noGradient = no_grad();
        foreach (var adapter in _adapters)
        {
            using var scope = NewDisposeScope();
            StateDictAdapter.View(_model, adapter.Name).copy_(adapter.Base.Plus(LiveScalar.Of(_scale) * adapter.B.matmul(adapter.A)));
        }
    }

    /// <summary>Makes the factors' gradients of those of the model's weights.</summary>
    public void TakeGradients()
    {
        using var noGradient = no_grad();
        foreach (var adapter in _adapters)
        {
            using var scope = NewDisposeScope();
            if (StateDictAdapter.GradientView(_model, adapter.Name) is { } gradient)
            {
                adapter.A.grad = (LiveScalar.Of(_scale) * adapter.B.t().matmul(gradient)).DetachFromDisposeScope();
                adapter.B.grad = (LiveScalar.Of(_scale) * gradient.matmul(adapter.A.t())).DetachFromDisposeScope();
            }
        }
    }

    /// <summary>The factors, for a checkpoint or a file of PEFT.</summary>
    public IReadOnlyList<SafeTensor> Save() => [.. Parameters.Select(parameter => new SafeTensor(parameter.Name, SafeTensorType.F32, parameter.Weight.shape, stream =>
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        stream.Write(parameter.Weight.cpu().contiguous().bytes);
    }))];

    /// <summary>Takes factors from a file and applies them.</summary>
    /// <exception cref="InvalidDataException">One is missing or of another shape.</exception>
    public void Load(SafeTensorsReader file)
    {
        foreach (var (name, weight) in Parameters)
        {
            if (!file.Entries.TryGetValue(name, out var entry) || !entry.Shape.SequenceEqual(weight.shape))
            {
                throw new InvalidDataException($"{file.Path}: {name} is missing or has another shape than [{string.Join(", ", weight.shape)}].");
            }
            using var noGradient = no_grad();
            using var scope = NewDisposeScope();
            var values = zeros(weight.shape, ScalarType.Float32);
            file.CopySingles(name, MemoryMarshal.Cast<byte, float>(values.bytes));
            weight.copy_(values);
        }
        Apply();
    }

    public void Dispose()
    {
        foreach (var adapter in _adapters)
        {
            adapter.Base.Dispose();
            adapter.A.Dispose();
            adapter.B.Dispose();
        }
    }

    private static Parameter Own(Tensor values)
    {
        var parameter = new Parameter(values);
        parameter.DetachFromDisposeScope();
        return parameter;
    }

    private sealed record Adapter(string Name, Tensor Base, Parameter A, Parameter B);
}
